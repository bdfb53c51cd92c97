# What weft's own tests and benchmarks are built with. Nothing here reaches a project that uses weft.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type of weft's tests and benchmarks" FORCE)
endif()

option(WEFT_TEST_PACKAGE "Test weft from outside projects too" ON)
option(WEFT_TEST_GATES "Test what the compiler makes of the kernels" ON)
option(WEFT_BUILD_FUZZ "Build the fuzz targets of tests/fuzz (clang)" OFF)
option(WEFT_WARNINGS_AS_ERRORS "Let a warning fail the build of weft's own programs" ON)

# Precompiled headers and ccache go together only when ccache is told not to look at times.
find_program(WEFT_CCACHE ccache)
mark_as_advanced(WEFT_CCACHE)
if(WEFT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND};-E;env;CCACHE_SLOPPINESS=pch_defines,time_macros;${WEFT_CCACHE}")
endif()

set(weft_warning_flags -Wall -Wextra -Wconversion -Wshadow)
if(WEFT_WARNINGS_AS_ERRORS)
  list(APPEND weft_warning_flags -Werror)
endif()

# One of weft's own programs: strict warnings, no compiler extensions.
function(weft_own_target target)
  target_compile_options(${target} PRIVATE ${weft_warning_flags})
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
endfunction()

# weft_separate_program(target): what define.hpp defines is compiled once for all such programs, with the -O2 that the
# recorded counts of instructions stand for.
function(weft_separate_program target)
  if(NOT TARGET weft_definitions)
    add_library(weft_definitions OBJECT "${PROJECT_SOURCE_DIR}/tests/definitions.cpp")
    weft_own_target(weft_definitions)
    target_compile_options(weft_definitions PRIVATE -O2)
    target_compile_definitions(weft_definitions PRIVATE WEFT_SEPARATE_COMPILATION=1)
    target_link_libraries(weft_definitions PRIVATE weft::weft)
  endif()
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:weft_definitions>)
  target_compile_definitions(${target} PRIVATE WEFT_SEPARATE_COMPILATION=1)
endfunction()
