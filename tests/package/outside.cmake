# cmake -Dsource=FOLDER -Dbuild=FOLDER -Dgenerator=NAME -Dcommand=PROGRAM[;ARGUMENT...] -Drun_dir=FOLDER
#       -P outside.cmake -- [CMake options...]
# Configures and builds the project in `source` and runs a program of it from `run_dir`.
set(options "")
set(collecting FALSE)
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(i RANGE ${last})
  if(collecting)
    list(APPEND options "${CMAKE_ARGV${i}}")
  elseif(CMAKE_ARGV${i} STREQUAL "--")
    set(collecting TRUE)
  endif()
endforeach()

function(run_or_stop what)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY "${run_dir}" RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${what} failed: ${result}")
  endif()
endfunction()

list(POP_FRONT command program)
file(REMOVE_RECURSE "${build}")
run_or_stop("configuring ${source}" "${CMAKE_COMMAND}" -S "${source}" -B "${build}" -G "${generator}" ${options})
run_or_stop("building ${source}" "${CMAKE_COMMAND}" --build "${build}")
run_or_stop("running ${program}" "${build}/${program}" ${command})
