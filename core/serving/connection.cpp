#include "core/serving/connection.h"

#include <poll.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "core/serving/error.h"
#include "core/serving/fields.h"

namespace modelc {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using namespace std::chrono_literals;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);  // errors as values

constexpr uint32_t kMaxHeader = 16 << 10;
constexpr uint64_t kMaxBody = 8 << 20;  // a context of 160k tokens, escaped
constexpr auto kHandshakeTime = 10s;
constexpr auto kIdleTime = 75s;    // between requests of a kept-alive connection
constexpr auto kHeaderTime = 10s;  // from a request's first byte to the end of its header
constexpr auto kBodyTime = 60s;
constexpr auto kWriteTime = 30s;   // a client that takes nothing for so long is gone
constexpr auto kPeerCheck = 200ms;
constexpr auto kQuiet = 15s;       // a comment keeps proxies from closing a stream that says nothing for so long
constexpr auto kLinger = 2s;

http::response_header<> Head(const ApiReply& reply, unsigned version, bool keep_alive) {
  http::response<http::empty_body> response(http::int_to_status(reply.status), version);
  response.set(http::field::server, "modelc");
  response.set(http::field::content_type, reply.content_type);
  response.set("X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : reply.headers) response.set(name, value);
  response.keep_alive(keep_alive);
  return std::move(response.base());
}

}  // namespace

void ConnectionSet::Add(ConnectionHandle* connection, Metrics& metrics) {
  const std::lock_guard lock(mutex_);
  connections_.insert(connection);
  metrics.SetConnections(static_cast<double>(connections_.size()));
}

void ConnectionSet::Remove(ConnectionHandle* connection, Metrics& metrics) {
  const std::lock_guard lock(mutex_);
  connections_.erase(connection);
  metrics.SetConnections(static_cast<double>(connections_.size()));
}

size_t ConnectionSet::size() const {
  const std::lock_guard lock(mutex_);
  return connections_.size();
}

void ConnectionSet::Drain() {
  draining_ = true;
  const std::lock_guard lock(mutex_);
  for (ConnectionHandle* connection : connections_) connection->CloseIfIdle();
}

void ConnectionSet::AbandonAll() {
  const std::lock_guard lock(mutex_);
  for (ConnectionHandle* connection : connections_) connection->Abandon();
}

template <class Stream>
Connection<Stream>::Connection(Stream stream, std::string peer, Api* api, ConnectionSet* connections)
    : stream_(std::move(stream)),
      buffer_(kMaxHeader + (64 << 10)),
      wake_(stream_.get_executor()),
      peer_(std::move(peer)),
      api_(*api),
      connections_(*connections) {
  connections_.Add(this, api_.metrics());
}

template <class Stream>
Connection<Stream>::~Connection() {
  connections_.Remove(this, api_.metrics());
}

template <class Stream>
void Connection<Stream>::CloseIfIdle() {
  asio::post(stream_.get_executor(), [weak = this->weak_from_this()] {
    if (auto self = weak.lock(); self && self->idle_) self->socket().close();
  });
}

template <class Stream>
asio::awaitable<void> Connection<Stream>::Run() {
  if (!co_await Handshake()) co_return;
  bool open = true;
  while (open && !connections_.draining()) {
    Parser parser;
    parser.header_limit(kMaxHeader);
    parser.body_limit(kMaxBody);
    if (!co_await Read(parser)) co_return;
    const auto& request = parser.get();
    const Form form{request.version(), request.method() == http::verb::head, request.keep_alive()};
    const auto text = [](beast::string_view s) { return std::string_view(s.data(), s.size()); };
    ApiReply reply = api_.Handle({text(request.method_string()), text(request.target()),
                                  text(request[http::field::authorization]), peer_, request.body()},
                                 Waker());
    answer_ = std::move(reply.answer);
    route_ = reply.route;
    open = answer_ ? co_await SendAnswer(form) : co_await Send(reply, form);
    EndAnswer();
  }
  co_await Close();
}

template <class Stream>
asio::awaitable<bool> Connection<Stream>::Handshake() {
  if constexpr (std::is_same_v<Stream, TlsStream>) {
    socket().expires_after(kHandshakeTime);
    const auto [error] = co_await stream_.async_handshake(asio::ssl::stream_base::server, kToken);
    co_return !error;
  }
  co_return true;
}

template <class Stream>
asio::awaitable<bool> Connection<Stream>::Read(Parser& parser) {
  if (buffer_.size() == 0) {
    idle_ = true;
    socket().expires_after(kIdleTime);
    const auto [error, bytes] = co_await stream_.async_read_some(buffer_.prepare(4096), kToken);
    idle_ = false;
    if (error) co_return false;
    buffer_.commit(bytes);
  }
  socket().expires_after(kHeaderTime);
  const auto [header_error, header_bytes] = co_await http::async_read_header(stream_, buffer_, parser, kToken);
  if (header_error) {
    co_await RefuseUnread(header_error);
    co_return false;
  }
  socket().expires_after(kBodyTime);
  if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
    const http::response<http::empty_body> go_on(http::status::continue_, parser.get().version());
    const auto [error, bytes] = co_await http::async_write(stream_, go_on, kToken);
    if (error) co_return false;
  }
  const auto [error, bytes] = co_await http::async_read(stream_, buffer_, parser, kToken);
  if (error) co_await RefuseUnread(error);
  co_return !error;
}

template <class Stream>
asio::awaitable<void> Connection<Stream>::RefuseUnread(beast::error_code error) {
  ApiReply reply;
  if (error == http::error::body_limit) {
    reply = api_.Refuse(413, WithCode(absl::InvalidArgumentError(
                                          absl::StrCat("the request is larger than ", kMaxBody >> 20, " MiB")),
                                      "request_too_large"));
  } else if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    reply = api_.Refuse(431, absl::InvalidArgumentError(absl::StrCat("the header is larger than ", kMaxHeader >> 10, " KiB")));
  } else if (error.category() == make_error_code(http::error::bad_method).category() &&
             error != http::error::end_of_stream && error != http::error::partial_message) {
    reply = api_.Refuse(400, absl::InvalidArgumentError(absl::StrCat("not an HTTP request: ", error.message())));
  } else {
    co_return;  // the client went away, or was too slow
  }
  co_await Send(reply, Form{});
  co_await Linger();
  co_await Close();
}

template <class Stream>
asio::awaitable<bool> Connection<Stream>::Send(const ApiReply& reply, Form form) {
  const bool keep_alive = KeepsAlive(form);
  http::response<http::string_body> response(Head(reply, form.version, keep_alive));
  response.content_length(reply.body.size());
  if (!form.head) response.body() = reply.body;
  socket().expires_after(kWriteTime);
  const auto [error, bytes] = co_await http::async_write(stream_, response, kToken);
  co_return !error && keep_alive;
}

template <class Stream>
asio::awaitable<bool> Connection<Stream>::SendAnswer(Form form) {
  if (answer_->streams()) co_return co_await SendStream(form);
  co_return co_await SendResponse(form);
}

template <class Stream>
asio::awaitable<bool> Connection<Stream>::SendResponse(Form form) {
  ApiReply reply;
  while (true) {
    for (const Json& object : answer_->Take()) reply.body = Dump(object);
    if (answer_->done()) break;
    if (!co_await WaitForAnswer()) co_return false;
  }
  if (!answer_->status().ok()) reply = api_.Refuse(answer_->status());
  EndAnswer();
  co_return co_await Send(reply, form);
}

template <class Stream>
asio::awaitable<bool> Connection<Stream>::SendStream(Form form) {
  const bool chunked = form.version >= 11;  // HTTP/1.0 ends a stream by closing
  const bool keep_alive = chunked && KeepsAlive(form);
  ApiReply reply;
  reply.content_type = "text/event-stream";
  reply.headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}};
  http::response<http::empty_body> head(Head(reply, form.version, keep_alive));
  head.chunked(chunked);
  http::response_serializer<http::empty_body> serializer(head);
  socket().expires_after(kWriteTime);
  if (const auto [error, bytes] = co_await http::async_write_header(stream_, serializer, kToken); error) co_return false;

  auto last_write = std::chrono::steady_clock::now();
  while (true) {
    std::string text;
    for (const Json& object : answer_->Take()) absl::StrAppend(&text, "data: ", Dump(object), "\n\n");
    const bool done = answer_->done();
    if (done) {
      if (!answer_->status().ok()) absl::StrAppend(&text, "data: ", Dump(ToApiError(answer_->status()).body), "\n\n");
      text += "data: [DONE]\n\n";
      EndAnswer();
    } else if (text.empty() && std::chrono::steady_clock::now() - last_write > kQuiet) {
      text = ": keep-alive\n\n";
    }
    if (!text.empty()) {
      if (!co_await Write(text, chunked)) co_return false;
      last_write = std::chrono::steady_clock::now();
    } else if (!co_await WaitForAnswer()) {
      co_return false;
    }
    if (done) break;
  }
  if (!chunked) co_return false;
  const auto [error, bytes] = co_await asio::async_write(stream_, http::make_chunk_last(), kToken);
  co_return !error && keep_alive;
}

// Before its last bytes are written, so that whoever has them finds it counted.
template <class Stream>
void Connection<Stream>::EndAnswer() {
  if (answer_) api_.CountAnswer(route_, *answer_);
  answer_.reset();
}

template <class Stream>
asio::awaitable<bool> Connection<Stream>::Write(const std::string& text, bool chunked) {
  socket().expires_after(kWriteTime);
  if (chunked) {
    const auto [error, bytes] = co_await asio::async_write(stream_, http::make_chunk(asio::buffer(text)), kToken);
    co_return !error;
  }
  const auto [error, bytes] = co_await asio::async_write(stream_, asio::buffer(text), kToken);
  co_return !error;
}

template <class Stream>
asio::awaitable<bool> Connection<Stream>::WaitForAnswer() {
  wake_.expires_after(kPeerCheck);
  co_await wake_.async_wait(kToken);
  co_return !ClientGone();
}

// A client that has shut down its sending side counts as gone, as with other servers.
template <class Stream>
bool Connection<Stream>::ClientGone() {
  pollfd descriptor{socket().socket().native_handle(), POLLRDHUP, 0};
  return poll(&descriptor, 1, 0) > 0 && (descriptor.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
}

// The engine's thread only posts; the sleeping coroutine takes what there is.
template <class Stream>
std::function<void()> Connection<Stream>::Waker() {
  return [weak = this->weak_from_this()] {
    if (auto self = weak.lock()) {
      const auto executor = self->stream_.get_executor();
      asio::post(executor, [self = std::move(self)] { self->wake_.cancel(); });
    }
  };
}

// Lets a client that was refused in the middle of its request finish talking, so that it reads our answer, not a reset.
template <class Stream>
asio::awaitable<void> Connection<Stream>::Linger() {
  socket().expires_after(kLinger);
  beast::error_code ignored;
  if constexpr (std::is_same_v<Stream, PlainStream>) socket().socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  std::string discarded(64 << 10, '\0');
  for (uint64_t total = 0; total < 4 * kMaxBody;) {
    const auto [error, bytes] = co_await stream_.async_read_some(asio::buffer(discarded), kToken);
    if (error) break;
    total += bytes;
  }
}

template <class Stream>
asio::awaitable<void> Connection<Stream>::Close() {
  if constexpr (std::is_same_v<Stream, TlsStream>) {
    socket().expires_after(kLinger);
    co_await stream_.async_shutdown(kToken);
  }
  beast::error_code ignored;
  socket().socket().shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
  socket().close();
  co_return;
}

template class Connection<PlainStream>;
template class Connection<TlsStream>;

}  // namespace modelc
