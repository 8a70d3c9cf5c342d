# Sets ATOMCORE_JSON_INCLUDE, the folder with the headers of nlohmann-json: as given, from a package of the system, or
# from the wheel nlohmann-json of PyPI.
if(ATOMCORE_JSON_INCLUDE)
  return()
endif()
find_package(nlohmann_json 3.11 CONFIG QUIET)
if(nlohmann_json_FOUND)
  get_target_property(ATOMCORE_JSON_INCLUDE nlohmann_json::nlohmann_json INTERFACE_INCLUDE_DIRECTORIES)
  return()
endif()
find_package(Python 3.11 COMPONENTS Interpreter)
if(Python_FOUND)
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -c "import nlohmann_json, os; print(os.path.join(os.path.dirname(nlohmann_json.__file__), 'include'))"
    OUTPUT_VARIABLE ATOMCORE_JSON_INCLUDE OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT ATOMCORE_JSON_INCLUDE)
  message(FATAL_ERROR "the headers of nlohmann-json (3.11 or newer) were not found; give their folder with "
    "-DATOMCORE_JSON_INCLUDE=..., install the package of your system (Debian: nlohmann-json3-dev), "
    "or pip install nlohmann-json")
endif()
