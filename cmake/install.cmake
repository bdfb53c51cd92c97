# Installs the headers and the CMake package: one export per component, so that asking for weft::ops alone never looks
# for what only weft::weft needs.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(weft_package_dir "${CMAKE_INSTALL_DATADIR}/cmake/weft")

target_include_directories(weft_ops INTERFACE "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/weft" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")

install(TARGETS weft_ops EXPORT weftOpsTargets)
install(EXPORT weftOpsTargets NAMESPACE weft:: DESTINATION "${weft_package_dir}")
install(TARGETS weft_cuda EXPORT weftCudaTargets)
install(EXPORT weftCudaTargets NAMESPACE weft:: DESTINATION "${weft_package_dir}")
install(FILES "${PROJECT_SOURCE_DIR}/cmake/cuda_standard.cmake" DESTINATION "${weft_package_dir}")
if(NOT WEFT_OPS_ONLY)
  install(TARGETS weft EXPORT weftTargets)
  install(EXPORT weftTargets NAMESPACE weft:: DESTINATION "${weft_package_dir}")
  install(FILES "${PROJECT_SOURCE_DIR}/cmake/FindSentencePiece.cmake" "${PROJECT_SOURCE_DIR}/cmake/FindPCRE2.cmake"
                "${PROJECT_SOURCE_DIR}/cmake/Findutf8proc.cmake" DESTINATION "${weft_package_dir}")
endif()

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/weftConfig.cmake.in" "${PROJECT_BINARY_DIR}/weftConfig.cmake"
  INSTALL_DESTINATION "${weft_package_dir}" NO_CHECK_REQUIRED_COMPONENTS_MACRO NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/weftConfigVersion.cmake"
  VERSION ${PROJECT_VERSION} COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/weftConfig.cmake" "${PROJECT_BINARY_DIR}/weftConfigVersion.cmake"
        DESTINATION "${weft_package_dir}")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
