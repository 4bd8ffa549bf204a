# SPDX-License-Identifier: Apache-2.0
#
# add_pg_extension(NAME SOURCES ... LINK ... SQL ...): the module, its control file and its install script, laid out in
# build/stage as an installed server has them, so that extension_control_path and dynamic_library_path can point there
# and tests need no installation. SQL files are joined in the order given.
set(IVY_STAGE ${PROJECT_BINARY_DIR}/stage)

function(add_pg_extension name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINK;SQL" ${ARGN})
    add_library(${name} MODULE ${ARG_SOURCES})
    set_target_properties(${name} PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${IVY_STAGE}/lib)
    target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/src)
    target_compile_definitions(${name} PRIVATE IVY_VERSION="${PROJECT_VERSION}")
    target_link_libraries(${name} PRIVATE ${ARG_LINK} PostgreSQL::Server ivy_warnings)

    set(share ${IVY_STAGE}/share/extension)
    configure_file(${name}.control.in ${share}/${name}.control @ONLY)
    set(script ${share}/${name}--${PROJECT_VERSION}.sql)
    set(parts)
    foreach(part ${ARG_SQL})
        list(APPEND parts ${CMAKE_CURRENT_SOURCE_DIR}/${part})
    endforeach()
    add_custom_command(OUTPUT ${script} COMMAND cat ${parts} > ${script} DEPENDS ${parts} VERBATIM)
    add_custom_target(${name}_sql ALL DEPENDS ${script})
    install(TARGETS ${name} LIBRARY DESTINATION ${PG_PKGLIB_DIR} COMPONENT ${name})
    install(FILES ${share}/${name}.control ${script} DESTINATION ${PG_SHARE_DIR}/extension COMPONENT ${name})
endfunction()
