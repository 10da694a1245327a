# cmake -DSOURCE=DIR -DOUT=FILE -P revision.cmake: a header with the sources' git revision, touched only by a change.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
  OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(revision "unknown")
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "#define PETIT_REVISION \"${revision}\"\n")
