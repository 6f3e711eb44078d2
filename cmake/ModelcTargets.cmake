# The two ways a folder declares what it builds.

# modelc_library(NAME SOURCES … DEPS …): a static library modelc_NAME with the project's warnings.
function(modelc_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  if(ARG_SOURCES)
    add_library(modelc_${name} STATIC ${ARG_SOURCES})
    target_link_libraries(modelc_${name} PUBLIC ${ARG_DEPS})
    target_compile_options(modelc_${name} PRIVATE -Wall -Wextra -Wno-unused-parameter)
  else()
    add_library(modelc_${name} INTERFACE)
    target_link_libraries(modelc_${name} INTERFACE ${ARG_DEPS})
  endif()
endfunction()

# modelc_test(NAME SOURCES … DEPS …): a GoogleTest program whose cases ctest lists one by one. Tests run in the source
# tree's root, so they name files by their path in the repository. Those that need no MLIR also belong to the target and
# the ctest label "sanitized", which the asan preset builds and runs.
function(modelc_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  if(NOT MODELC_TESTS)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gtest_main GTest::gmock)
  target_compile_options(${name} PRIVATE -Wall -Wextra -Wno-unused-parameter)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  set(labels)
  if(NOT "${ARG_DEPS}" MATCHES "compiler|dialect")
    set(labels LABELS sanitized)
    if(NOT TARGET sanitized_tests)
      add_custom_target(sanitized_tests)
    endif()
    add_dependencies(sanitized_tests ${name})
  endif()
  gtest_discover_tests(${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} DISCOVERY_TIMEOUT 60
                       PROPERTIES ENVIRONMENT "MODELC_PLUGIN_PATH=${MODELC_PLUGIN_DIR}" ${labels})
endfunction()
