# SPDX-License-Identifier: Apache-2.0
#
# ivy_library(NAME SOURCES ... [LINK ...])   a static library of src/NAME
# ivy_test(NAME SOURCES ... LINK ...)        its gtest executable, registered with ctest under the label "unit"
function(ivy_library name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
    add_library(${name} STATIC ${ARG_SOURCES})
    target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(${name} PUBLIC ${ARG_LINK} PRIVATE ivy_warnings)
endfunction()

function(ivy_test name)
    if(NOT IVY_TESTS)
        return()
    endif()
    cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE ${ARG_LINK} ivy_warnings GTest::gtest_main)
    add_test(NAME unit/${name} COMMAND ${name})
    set_tests_properties(unit/${name} PROPERTIES LABELS unit TIMEOUT 600)
endfunction()
