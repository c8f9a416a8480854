# Finds what zo::service is made of, or explains. Sets ZO_HAS_SERVICE. ZO_SERVICE=AUTO builds it where libcurl
# and nlohmann-json are installed. Included behind src/process, on which it stands.
if(PROJECT_IS_TOP_LEVEL)
  set(ZO_SERVICE_default AUTO)
else()
  set(ZO_SERVICE_default OFF)
endif()
set(ZO_SERVICE ${ZO_SERVICE_default} CACHE STRING "zo::service: AUTO (where libcurl and nlohmann-json are found), ON or OFF")
set_property(CACHE ZO_SERVICE PROPERTY STRINGS AUTO ON OFF)
set(ZO_HAS_SERVICE OFF)

if(ZO_SERVICE)
  find_package(CURL 7.85 QUIET)
  find_package(nlohmann_json QUIET)
  if(CURL_FOUND AND nlohmann_json_FOUND AND TARGET zo_process)
    set(ZO_HAS_SERVICE ON)
  elseif(ZO_SERVICE STREQUAL "ON")
    message(FATAL_ERROR "ZO_SERVICE=ON, but CMake found no libcurl, no nlohmann-json, or zo::process is left out. Install "
                        "them (Debian: libcurl4-openssl-dev nlohmann-json3-dev), or use ZO_SERVICE=OFF.")
  else()
    message(STATUS "zo: zo::service is left out, because libcurl or nlohmann-json is missing (libcurl4-openssl-dev, "
                   "nlohmann-json3-dev)")
  endif()
endif()
