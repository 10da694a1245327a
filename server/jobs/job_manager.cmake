find_package(SQLite3 REQUIRED)
find_package(spdlog REQUIRED)

add_library(petit_jobs STATIC
  announcer.cc event_tail.cc job_events.cc job_manager.cc job_rows.cc job_store.cc publication.cc publisher.cc
  sqlite.cc student_publication.cc supervisor.cc supervisor_attempt.cc)
target_link_libraries(petit_jobs
  PUBLIC petit_worker_proto absl::status absl::statusor absl::time
  PRIVATE petit_options petit_job_files petit_job_spec SQLite::SQLite3 absl::cleanup absl::strings nlohmann_json::nlohmann_json
          spdlog::spdlog Threads::Threads)

if(BUILD_TESTING)
  set(tests ${PROJECT_SOURCE_DIR}/tests/unit/jobs)
  petit_unit_test(petit_jobs_test
    ${tests}/event_tail_test.cc ${tests}/job_attempts_test.cc ${tests}/job_cancel_test.cc ${tests}/job_crash_test.cc
    ${tests}/job_fakes.cc ${tests}/job_manager_test.cc ${tests}/job_store_test.cc ${tests}/job_threads_test.cc
    ${tests}/publish_test.cc ${tests}/student_publication_test.cc
    LIBS petit_jobs absl::status absl::statusor absl::strings absl::time)
endif()
