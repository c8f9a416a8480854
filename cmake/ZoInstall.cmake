include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/zo)
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME zo)  # a surrounding project may leave it out by this name
set(zo_parts "")
foreach(part cuda mpi service)
  if(TARGET zo_${part})
    list(APPEND zo_parts ${part})
  endif()
endforeach()
list(TRANSFORM zo_parts PREPEND zo_ OUTPUT_VARIABLE part_libraries)
set(always zo zo_nn)
foreach(part journal process)
  if(TARGET zo_${part})
    list(APPEND always zo_${part})
  endif()
endforeach()
set(libraries ${always} ${part_libraries})

# The scripts build one program and what it needs, not everything that is installed. So the first step
# builds the rest, and where it cannot, nothing is copied.
add_custom_target(zo_libraries DEPENDS ${libraries})
list(TRANSFORM libraries REPLACE "(.+)" "$<TARGET_FILE:\\1>" OUTPUT_VARIABLE files)
foreach(given "files;${files}" "source;${PROJECT_SOURCE_DIR}" "build;${CMAKE_BINARY_DIR}")
  list(POP_FRONT given name)
  install(CODE "set(zo_${name} [==[${given}]==])")
endforeach()
install(SCRIPT cmake/ZoBuildMissing.cmake)

install(TARGETS ${always} EXPORT zo_targets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/zo DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT zo_targets NAMESPACE zo:: DESTINATION ${package_dir})
foreach(part IN LISTS zo_parts)
  install(TARGETS zo_${part} EXPORT zo_${part}_targets)
  install(EXPORT zo_${part}_targets NAMESPACE zo:: DESTINATION ${package_dir})
endforeach()
write_basic_package_version_file(zo-config-version.cmake COMPATIBILITY SameMinorVersion)
find_package(OpenMP QUIET COMPONENTS CXX)  # said in the package file: our users need it to link
configure_file(cmake/zo-config.cmake.in zo-config.cmake @ONLY)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
# Last: an installation that was interrupted is not found.
install(FILES ${PROJECT_BINARY_DIR}/zo-config.cmake ${PROJECT_BINARY_DIR}/zo-config-version.cmake
        DESTINATION ${package_dir})
