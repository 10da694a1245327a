// install_client HOST:PORT [TEXT]: lists the server's models and translates a text with the first. Without a server
// it says so and ends with 3.
#include <client/lib/client.h>
#include <client/lib/jobs.h>
#include <petit/v1/translation.pb.h>

#include <iostream>
#include <string>

int main(int argc, char** argv) {
  const auto client = petit::client::Client::Create({.server = argc > 1 ? argv[1] : "127.0.0.1:50051"});
  if (!client.ok()) {
    std::cerr << client.status() << "\n";
    return 2;
  }
  const auto models = client->ListModels();
  if (!models.ok() || models->empty()) {
    std::cerr << (models.ok() ? "the server has no models" : models.status().ToString()) << "\n";
    return petit::client::IsServerUnreachable(models.status()) ? 3 : 4;
  }
  const petit::client::TranslateOptions options{
      .model = models->front().name, .source_language = "en", .target_language = "fr"};
  const auto results = client->Translate({argc > 2 ? argv[2] : "Good morning."}, options);
  if (!results.ok() || !results->front().ok()) {
    std::cerr << (results.ok() ? results->front().status() : results.status()) << "\n";
    return 1;
  }
  // Jobs have a client of their own.
  if (!petit::client::JobClient::Create(client->options()).ok()) return 2;
  // The messages of the protocol are there, too, for those who want them.
  std::cout << results->front()->text << "\n" << petit::v1::TranslateRequest::descriptor()->full_name() << "\n";
  return 0;
}
