# weft_look_for_nvcc(): sets WEFT_NVCC to whether weft's own programs for NVIDIA devices are compiled, and enables the
# language. nvcc compiles for the host as g++ does, so it is used in the build that is g++'s, with its flags.
macro(weft_look_for_nvcc)
  set(WEFT_NVCC OFF)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    include(CheckLanguage)
    check_language(CUDA)
    if(CMAKE_CUDA_COMPILER)
      enable_language(CUDA)
      include("${PROJECT_SOURCE_DIR}/cmake/cuda_standard.cmake")
      if(NOT TARGET CUDA::cublasLt)
        find_package(CUDAToolkit 12 QUIET)
        if(TARGET CUDA::cudart AND TARGET CUDA::cublasLt) # which weft::cuda names
          set_target_properties(CUDA::toolkit CUDA::cudart CUDA::cublasLt PROPERTIES IMPORTED_GLOBAL ON)
        endif()
      endif()
    endif()
    if(TARGET CUDA::cudart AND TARGET CUDA::cublasLt)
      set(WEFT_NVCC ON)
    else()
      message(STATUS "There is no CUDA Toolkit 12 with nvcc and cuBLASLt: what is for NVIDIA devices is compiled for "
                     "the emulation alone")
    endif()
  endif()
endmacro()

# What weft's own targets for devices are compiled with; the rest of the arguments are CMAKE_CUDA_ARCHITECTURES.
function(weft_cuda_settings target)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra>)
  if(WEFT_WARNINGS_AS_ERRORS)
    target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:SHELL:--Werror all-warnings>")
  endif()
  set_target_properties(${target} PROPERTIES CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED ON CUDA_EXTENSIONS OFF
                                             CUDA_ARCHITECTURES "${ARGN}")
  target_link_libraries(${target} PRIVATE weft::cuda)
endfunction()
