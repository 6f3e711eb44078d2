# What `cmake --install` puts where: the binary, the plugins beside it, models, and the package a vendor's plugin builds
# against (`find_package(modelc)` gives modelc::plugin: the ABI's and the SDK's headers). A build folder is such a package too.
include(CMakePackageConfigHelpers)

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/modelc)

add_library(modelc_plugin_headers INTERFACE)
set_target_properties(modelc_plugin_headers PROPERTIES EXPORT_NAME plugin)
target_include_directories(modelc_plugin_headers INTERFACE
  $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/modelc>)
install(TARGETS modelc_plugin_headers EXPORT modelc)
install(DIRECTORY plugins/abi plugins/sdk DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/modelc/plugins)
install(DIRECTORY plugins/template DESTINATION ${CMAKE_INSTALL_DATADIR}/modelc/plugins)
install(FILES models/v3.2.mlir models/v3.1.mlir models/glm-5.mlir models/speciale.json DESTINATION ${CMAKE_INSTALL_DATADIR}/modelc/models)
install(DIRECTORY models/nano/checkpoint DESTINATION ${CMAKE_INSTALL_DATADIR}/modelc/models/nano)
if(TARGET modelc)
  install(TARGETS modelc modelc-lsp modelc_compiler_library RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} LIBRARY DESTINATION lib/modelc)
endif()
if(TARGET modelc_cpu)
  install(TARGETS modelc_cpu LIBRARY DESTINATION lib/modelc)
endif()

install(EXPORT modelc NAMESPACE modelc:: DESTINATION ${package})
export(EXPORT modelc NAMESPACE modelc:: FILE ${CMAKE_BINARY_DIR}/modelc.cmake)
file(WRITE ${CMAKE_BINARY_DIR}/modelcConfig.cmake.in "@PACKAGE_INIT@\ninclude(\${CMAKE_CURRENT_LIST_DIR}/modelc.cmake)\n")
configure_package_config_file(${CMAKE_BINARY_DIR}/modelcConfig.cmake.in ${CMAKE_BINARY_DIR}/modelcConfig.cmake
                              INSTALL_DESTINATION ${package})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/modelcConfigVersion.cmake COMPATIBILITY SameMajorVersion ARCH_INDEPENDENT)
install(FILES ${CMAKE_BINARY_DIR}/modelcConfig.cmake ${CMAKE_BINARY_DIR}/modelcConfigVersion.cmake DESTINATION ${package})
