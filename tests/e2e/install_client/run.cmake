# Installs the client from a build, and builds and runs this folder's program against what was installed:
#   cmake -DBUILD=DIR -DWORK=DIR -DGENERATOR=NAME -P run.cmake
# Without a server the program ends with 3 and says so; that it got there is the proof.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "${ARGN} ended with ${code}:\n${text}")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix --component client)
run(${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR} -B ${WORK}/build -G ${GENERATOR} -DCMAKE_PREFIX_PATH=${WORK}/prefix)
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/prefix/bin/petit --version)
execute_process(COMMAND ${WORK}/build/install_client unix:${WORK}/nobody.sock RESULT_VARIABLE code ERROR_VARIABLE text)
if(NOT code EQUAL 3 OR NOT text MATCHES "no Petit server answers at unix:")
  message(FATAL_ERROR "install_client ended with ${code}: ${text}")
endif()
