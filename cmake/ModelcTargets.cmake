# The two ways a folder declares what it builds.

# MODELC_PCH (the asan preset): headers that most sources read are read once, which takes a clean build less than half the
# time. Elsewhere ccache does better, and it would need to be told to be sloppy.
option(MODELC_PCH "Precompile common headers" OFF)
set(common_headers <algorithm> <functional> <map> <memory> <string> <vector> <absl/status/statusor.h>
    <absl/strings/str_cat.h> <absl/strings/str_join.h> <absl/types/span.h> <nlohmann/json.hpp>)

# Precompiles the common headers and ARGN as part of the target NAME, an EXECUTABLE (GoogleTest programs are compiled as
# such) or an OBJECT library.
function(modelc_pch name kind)
  file(WRITE ${CMAKE_BINARY_DIR}/pch.cpp "int main() {}\n")
  if(kind STREQUAL EXECUTABLE)
    add_executable(${name} EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/pch.cpp)
  else()
    add_library(${name} ${kind} EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/pch.cpp)
  endif()
  target_link_libraries(${name} PRIVATE absl::statusor absl::strings absl::span nlohmann_json::nlohmann_json)
  target_precompile_headers(${name} PRIVATE ${common_headers} ${ARGN})
endfunction()
if(MODELC_PCH)
  modelc_pch(modelc_library_pch OBJECT)
  modelc_pch(modelc_test_pch EXECUTABLE <gmock/gmock.h> <gtest/gtest.h>)
endif()

# modelc_library(NAME SOURCES … DEPS …): a static library modelc_NAME with the project's warnings.
function(modelc_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  if(ARG_SOURCES)
    add_library(modelc_${name} STATIC ${ARG_SOURCES})
    target_link_libraries(modelc_${name} PUBLIC ${ARG_DEPS})
    target_compile_options(modelc_${name} PRIVATE -Wall -Wextra -Wno-unused-parameter)
    if(MODELC_PCH)
      target_precompile_headers(modelc_${name} REUSE_FROM modelc_library_pch)
    endif()
  else()
    add_library(modelc_${name} INTERFACE)
    target_link_libraries(modelc_${name} INTERFACE ${ARG_DEPS})
  endif()
endfunction()

# modelc_test(NAME SOURCES … DEPS …): a GoogleTest program whose cases ctest lists one by one. Tests run in the source
# tree's root, so they name files by their path in the repository. Those that need no MLIR also belong to the target and
# the ctest label "sanitized", which the asan preset builds and runs; want of memory is answered there as elsewhere: a
# null pointer.
function(modelc_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  if(NOT MODELC_TESTS)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gtest_main GTest::gmock)
  target_compile_options(${name} PRIVATE -Wall -Wextra -Wno-unused-parameter)
  if(MODELC_PCH)
    target_precompile_headers(${name} REUSE_FROM modelc_test_pch)
  endif()
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
                       PROPERTIES ENVIRONMENT "MODELC_PLUGIN_PATH=${MODELC_PLUGIN_DIR}"
                       ENVIRONMENT_MODIFICATION ASAN_OPTIONS=set:allocator_may_return_null=1 ${labels})
endfunction()
