add_library(petit_job_spec STATIC data_file.cc job_spec.cc publish_target.cc spec_arms.cc spec_fields.cc spec_models.cc)
target_compile_definitions(petit_job_spec PRIVATE PETIT_VERSION="${PROJECT_VERSION}")
target_link_libraries(petit_job_spec
  PUBLIC petit_proto petit_worker_proto absl::status absl::statusor
  PRIVATE petit_options petit_checkpoint petit_config petit_file_digest petit_t5 petit_tokenizer absl::strings)

petit_unit_test(petit_job_spec_test
  ${PROJECT_SOURCE_DIR}/tests/unit/jobs/data_file_test.cc ${PROJECT_SOURCE_DIR}/tests/unit/jobs/job_spec_inputs_test.cc
  ${PROJECT_SOURCE_DIR}/tests/unit/jobs/job_spec_test.cc
  LIBS petit_job_spec petit_config absl::status absl::statusor absl::strings)
