#include "tools/modelc/remote_chat.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <regex>

#include "absl/strings/str_cat.h"
#include "core/serving/fields.h"
#include "core/support/strings.h"
#include "core/text/json.h"

namespace modelc {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using Show = std::function<bool(const Json&)>;

absl::Status Unreachable(const std::string& host, const std::string& port, const beast::error_code& error) {
  return absl::UnavailableError(absl::StrCat("cannot reach ", host, ":", port, ": ", error.message(),
                                             "; is 'modelc run' serving there?"));
}

std::string ErrorMessage(const Json& json) {
  const Json error = json.value("error", Json::object());
  return error.is_object() ? error.value("message", "") : "";
}

// Takes whole "data: …" lines off the front of `text`. False: `show` has seen enough.
absl::StatusOr<bool> ShowEvents(std::string& text, const Show& show) {
  constexpr std::string_view kData = "data: ";
  size_t begin = 0;
  bool more = true;
  for (size_t end; more && (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    if (!line.starts_with(kData) || line == "data: [DONE]") continue;
    const absl::StatusOr<Json> chunk = ParseJsonObject(line.substr(kData.size()));
    if (!chunk.ok()) return absl::DataLossError(absl::StrCat("the server sent what is no event: ", chunk.status().message()));
    if (chunk->contains("error")) return absl::UnavailableError(ErrorMessage(*chunk));
    more = show(*chunk);
  }
  text.erase(0, begin);
  return more;
}

template <class Stream>
absl::Status Exchange(Stream& stream, const http::request<http::string_body>& request, const Show& show) {
  beast::error_code error;
  http::write(stream, request, error);
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(boost::none);
  if (!error) http::read_header(stream, buffer, parser, error);
  if (error) return absl::UnavailableError(absl::StrCat("the server did not answer: ", error.message()));
  const bool events = parser.get().result() == http::status::ok;
  while (!parser.is_done() && !error) {
    http::read_some(stream, buffer, parser, error);
    if (!events) continue;
    const absl::StatusOr<bool> more = ShowEvents(parser.get().body(), show);
    if (!more.ok()) return more.status();
    if (!*more) return absl::CancelledError("cancelled");
  }
  if (error) return absl::UnavailableError(absl::StrCat("the answer broke off: ", error.message()));
  if (events) return absl::OkStatus();
  const absl::StatusOr<Json> refusal = ParseJsonObject(parser.get().body());
  const std::string message = refusal.ok() ? ErrorMessage(*refusal) : "";
  return absl::InvalidArgumentError(absl::StrCat("the server refused (", parser.get().result_int(), "): ",
                                                 message.empty() ? "it did not say why" : message));
}

}  // namespace

absl::StatusOr<RemoteChat> RemoteChat::Open(const std::string& url, std::string key) {
  static const std::regex kUrl(R"((https?)://(\[[0-9a-fA-F:.]+\]|[^/:\s]+)(?::(\d+))?(/v1)?/?)");
  std::smatch parts;
  if (!std::regex_match(url, parts, kUrl)) {
    return absl::InvalidArgumentError(absl::StrCat("'", url, "' is no server's address; it reads http://HOST:PORT"));
  }
  RemoteChat chat;
  chat.tls_ = parts[1] == "https";
  chat.host_ = parts[2];
  chat.port_ = parts[3].matched ? parts[3].str() : chat.tls_ ? "443" : "80";
  chat.key_ = std::move(key);
  return chat;
}

absl::Status RemoteChat::Stream(Json body, const Show& show) const {
  body["stream"] = true;
  http::request<http::string_body> request(http::verb::post, "/v1/chat/completions", 11);
  request.set(http::field::host, absl::StrCat(host_, ":", port_));
  request.set(http::field::content_type, "application/json");
  if (!key_.empty()) request.set(http::field::authorization, absl::StrCat("Bearer ", key_));
  request.keep_alive(false);
  request.body() = Dump(body);
  request.prepare_payload();

  asio::io_context io;
  beast::error_code error;
  const bool bracketed = host_.front() == '[';
  const std::string host = bracketed ? host_.substr(1, host_.size() - 2) : host_;
  const auto addresses = tcp::resolver(io).resolve(host, port_, error);
  if (error) return Unreachable(host_, port_, error);
  if (!tls_) {
    tcp::socket socket(io);
    asio::connect(socket, addresses, error);
    if (error) return Unreachable(host_, port_, error);
    return Exchange(socket, request, show);
  }
  asio::ssl::context context(asio::ssl::context::tls_client);
  context.set_default_verify_paths(error);
  asio::ssl::stream<tcp::socket> stream(io, context);
  stream.set_verify_mode(asio::ssl::verify_peer);
  stream.set_verify_callback(asio::ssl::host_name_verification(host));
  SSL_set_tlsext_host_name(stream.native_handle(), host.c_str());
  asio::connect(stream.next_layer(), addresses, error);
  if (error) return Unreachable(host_, port_, error);
  stream.handshake(asio::ssl::stream_base::client, error);
  if (const long result = SSL_get_verify_result(stream.native_handle()); error && result != X509_V_OK) {
    return absl::UnavailableError(absl::StrCat("the certificate of ", host_, ":", port_, " is not to be trusted: ",
                                               X509_verify_cert_error_string(result),
                                               "; SSL_CERT_FILE names a file of certificates that are"));
  }
  if (error) return Unreachable(host_, port_, error);
  return Exchange(stream, request, show);
}

}  // namespace modelc
