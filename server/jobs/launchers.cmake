add_library(petit_launchers STATIC
  flock_holders.cc launch_check.cc local_launcher.cc process.cc slurm_commands.cc slurm_launcher.cc)
target_link_libraries(petit_launchers
  PUBLIC absl::status absl::statusor absl::strings absl::time
  PRIVATE petit_options petit_job_files)

if(BUILD_TESTING)
  set(jobs_tests ${PROJECT_SOURCE_DIR}/tests/unit/jobs)
  add_executable(petit_fake_worker ${jobs_tests}/fake_worker_main.cc)
  target_link_libraries(petit_fake_worker PRIVATE petit_options)

  add_executable(petit_launcher_test
    ${jobs_tests}/launch_site.cc ${jobs_tests}/launcher_test.cc ${jobs_tests}/local_launcher_test.cc
    ${jobs_tests}/process_test.cc ${jobs_tests}/slurm_commands_test.cc ${jobs_tests}/slurm_launcher_test.cc)
  target_link_libraries(petit_launcher_test PRIVATE petit_options petit_launchers GTest::gmock_main)
  target_compile_definitions(petit_launcher_test PRIVATE PETIT_FAKE_WORKER="$<TARGET_FILE:petit_fake_worker>")
  add_dependencies(petit_launcher_test petit_fake_worker)
  # Those that need a Slurm run together beside one; those that harm their Slurm have one of their own.
  gtest_discover_tests(petit_launcher_test DISCOVERY_MODE PRE_TEST
    TEST_FILTER "-Slurm/*:SlurmLauncherTest.*:SlurmFailureTest.*" PROPERTIES LABELS unit)
  function(petit_add_slurm_test name filter)
    add_test(NAME ${name} COMMAND ${PROJECT_SOURCE_DIR}/tests/e2e/slurm/with_slurm.sh
      $<TARGET_FILE:petit_launcher_test> --gtest_filter=${filter})
    set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 300 SKIP_RETURN_CODE 77)
  endfunction()
  petit_add_slurm_test(SlurmLauncher Slurm/*:SlurmLauncherTest.*)
  petit_add_slurm_test(SlurmFailure SlurmFailureTest.*)
endif()
