# The library for programs in C, C++ and Fortran: shared and static, with headers, a CMake package and a pkg-config file.
# Everything is relocatable: it stands in the wheel, too, within the Python package.
add_library(atomcore SHARED $<TARGET_OBJECTS:atomcore_c_api>)
add_library(atomcore::atomcore ALIAS atomcore)  # for projects that have this one within
target_include_directories(atomcore PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/cpp/include>)
target_link_libraries(atomcore PRIVATE atomcore_core)
set(exports "${CMAKE_CURRENT_LIST_DIR}/exports.map")
target_link_options(atomcore PRIVATE "LINKER:--version-script=${exports}" LINKER:--gc-sections
  $<$<CONFIG:Release>:-s>)
set_target_properties(atomcore PROPERTIES LINK_DEPENDS "${exports}" LINKER_LANGUAGE CXX)

if(DEFINED SKBUILD)  # a wheel has no links, and one library of one version
  set(libraries atomcore/lib)
  set(headers atomcore/include)
else()
  include(GNUInstallDirs)
  set(libraries "${CMAKE_INSTALL_LIBDIR}")
  set(headers "${CMAKE_INSTALL_INCLUDEDIR}")
  set_target_properties(atomcore PROPERTIES VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  # Programs that are linked statically need the C++ library, whatever language they are in.
  set_target_properties(atomcore_core PROPERTIES OUTPUT_NAME atomcore EXPORT_NAME static)
  target_link_libraries(atomcore_core INTERFACE $<INSTALL_INTERFACE:pthread> $<INSTALL_INTERFACE:stdc++>
    $<INSTALL_INTERFACE:m>)
  install(TARGETS atomcore_core EXPORT atomcoreTargets ARCHIVE DESTINATION "${libraries}"
    INCLUDES DESTINATION "${headers}")
endif()
install(TARGETS atomcore EXPORT atomcoreTargets LIBRARY DESTINATION "${libraries}" INCLUDES DESTINATION "${headers}")
install(DIRECTORY cpp/include/atomcore DESTINATION "${headers}")

include(CMakePackageConfigHelpers)
set(package "${libraries}/cmake/atomcore")
install(EXPORT atomcoreTargets NAMESPACE atomcore:: DESTINATION "${package}" FILE atomcoreConfig.cmake)
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/atomcoreConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/atomcoreConfigVersion.cmake" DESTINATION "${package}")

file(RELATIVE_PATH ATOMCORE_PREFIX "/${libraries}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" ATOMCORE_PREFIX "${ATOMCORE_PREFIX}")
set(ATOMCORE_LIBRARIES "${libraries}")
set(ATOMCORE_HEADERS "${headers}")
configure_file(cmake/atomcore.pc.in atomcore.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/atomcore.pc" DESTINATION "${libraries}/pkgconfig")
