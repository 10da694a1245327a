# cmake -DSOURCE=DIR -DOUT=FILE -P revision.cmake: a header with the sources' git revision, touched only by a change.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
  OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(revision "unknown")
  # Of sources without their history, as in an image's build, whoever builds may say it.
  if(NOT "$ENV{PETIT_REVISION}" STREQUAL "")
    string(SUBSTRING "$ENV{PETIT_REVISION}" 0 12 revision)
  endif()
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "#define PETIT_REVISION \"${revision}\"\n")
