# Debian's cpp-httplib, a server for examples, tests and benchmarks, as zo_httplib; no such target where it is
# missing. The library itself does without.
if(NOT TARGET zo_httplib)
  find_path(ZO_HTTPLIB_INCLUDE httplib.h)
  find_library(ZO_HTTPLIB_LIBRARY cpp-httplib)
  find_package(OpenSSL QUIET)
  find_package(nlohmann_json QUIET)
  if(ZO_HTTPLIB_INCLUDE AND ZO_HTTPLIB_LIBRARY AND OpenSSL_FOUND AND nlohmann_json_FOUND)
    add_library(zo_httplib INTERFACE)
    target_compile_features(zo_httplib INTERFACE cxx_std_20)
    target_include_directories(zo_httplib SYSTEM INTERFACE ${ZO_HTTPLIB_INCLUDE}
      $<TARGET_PROPERTY:nlohmann_json::nlohmann_json,INTERFACE_INCLUDE_DIRECTORIES>)
    # How Debian compiled it; its header must know.
    target_compile_definitions(zo_httplib INTERFACE CPPHTTPLIB_OPENSSL_SUPPORT CPPHTTPLIB_ZLIB_SUPPORT
      CPPHTTPLIB_BROTLI_SUPPORT)
    target_link_libraries(zo_httplib INTERFACE ${ZO_HTTPLIB_LIBRARY} OpenSSL::SSL OpenSSL::Crypto)
  else()
    message(STATUS "zo: the example of a service is left out, because cpp-httplib, OpenSSL or nlohmann-json is missing "
                   "(libcpp-httplib-dev, libssl-dev, nlohmann-json3-dev)")
  endif()
endif()
