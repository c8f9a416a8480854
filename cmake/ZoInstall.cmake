include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/zo)
install(TARGETS zo EXPORT zo_targets)
install(DIRECTORY include/zo DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT zo_targets NAMESPACE zo:: DESTINATION ${package_dir})
if(TARGET zo_cuda)
  install(TARGETS zo_cuda EXPORT zo_cuda_targets)
  install(EXPORT zo_cuda_targets NAMESPACE zo:: DESTINATION ${package_dir})
endif()
write_basic_package_version_file(zo-config-version.cmake COMPATIBILITY SameMinorVersion)
find_package(OpenMP QUIET COMPONENTS CXX)  # said in the package file: our users need it to link
configure_file(cmake/zo-config.cmake.in zo-config.cmake @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/zo-config.cmake ${PROJECT_BINARY_DIR}/zo-config-version.cmake
        DESTINATION ${package_dir})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
