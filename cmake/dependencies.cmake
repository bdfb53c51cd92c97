# Finds what weft::ops and weft::weft are made of, unless the host project already brought it.
macro(weft_require_dependencies)
  if(NOT TARGET Eigen3::Eigen)
    find_package(Eigen3 3.4 QUIET CONFIG)
  endif()
  if(NOT TARGET Eigen3::Eigen)
    message(FATAL_ERROR "weft needs Eigen 3.4 or newer and did not find it. On Debian and Ubuntu: "
                        "apt-get install libeigen3-dev")
  endif()
  find_package(Threads REQUIRED)

  if(NOT WEFT_OPS_ONLY)
    if(NOT TARGET nlohmann_json::nlohmann_json)
      find_package(nlohmann_json 3.10 QUIET CONFIG)
    endif()
    list(INSERT CMAKE_MODULE_PATH 0 "${CMAKE_CURRENT_LIST_DIR}/cmake")
    if(NOT TARGET SentencePiece::SentencePiece)
      find_package(SentencePiece QUIET MODULE)
    endif()
    if(NOT TARGET PCRE2::8BIT)
      find_package(PCRE2 QUIET MODULE)
    endif()
    if(NOT TARGET utf8proc::utf8proc)
      find_package(utf8proc QUIET MODULE)
    endif()
    list(REMOVE_AT CMAKE_MODULE_PATH 0)
    if(NOT TARGET nlohmann_json::nlohmann_json OR NOT TARGET SentencePiece::SentencePiece OR NOT TARGET PCRE2::8BIT
       OR NOT TARGET utf8proc::utf8proc)
      message(FATAL_ERROR "weft::weft needs nlohmann_json 3.10 or newer, SentencePiece, PCRE2 (8-bit) and utf8proc and "
                          "did not find all of them. On Debian and Ubuntu: apt-get install nlohmann-json3-dev "
                          "libsentencepiece-dev libpcre2-dev libutf8proc-dev. "
                          "Tensors and operations alone (weft::ops) do without: set WEFT_OPS_ONLY to ON.")
    endif()
  endif()
endmacro()
