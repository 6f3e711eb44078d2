// One client's connection, plain or TLS: reads requests with deadlines, asks the Api, writes replies and streams, and
// notices when the client is gone. Runs on one strand.
#ifndef MODELC_CORE_SERVING_CONNECTION_H_
#define MODELC_CORE_SERVING_CONNECTION_H_

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "core/serving/api.h"

namespace modelc {

using PlainStream = boost::beast::tcp_stream;
using TlsStream = boost::beast::ssl_stream<boost::beast::tcp_stream>;

// What the server asks of a connection. Both are called from any thread.
class ConnectionHandle {
 public:
  virtual ~ConnectionHandle() = default;
  virtual void CloseIfIdle() = 0;
  // Destroys the answer under way; only once no thread runs the connection any more.
  virtual void Abandon() = 0;
};

// The connections there are. Thread-safe.
class ConnectionSet {
 public:
  void Add(ConnectionHandle* connection, Metrics& metrics);
  void Remove(ConnectionHandle* connection, Metrics& metrics);
  size_t size() const;
  // From now on connections close after the reply under way; idle ones at once.
  void Drain();
  bool draining() const { return draining_; }
  void AbandonAll();

 private:
  mutable std::mutex mutex_;
  std::set<ConnectionHandle*> connections_;
  std::atomic<bool> draining_ = false;
};

template <class Stream>
class Connection : public ConnectionHandle, public std::enable_shared_from_this<Connection<Stream>> {
 public:
  // `peer` is the client's address. `api` and `connections` must outlive it.
  Connection(Stream stream, std::string peer, Api* api, ConnectionSet* connections);
  ~Connection() override;

  // Serves requests until either side closes. Keep the connection shared while it runs.
  boost::asio::awaitable<void> Run();
  void CloseIfIdle() override;
  void Abandon() override { answer_.reset(); }

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
  // What a reply needs to know of its request.
  struct Form {
    unsigned version = 11;
    bool head = false;
    bool keep_alive = false;  // as far as the client is concerned
  };

  boost::asio::awaitable<bool> Handshake();
  // False: the connection is over (a refusal has been sent where the client deserves one).
  boost::asio::awaitable<bool> Read(Parser& parser);
  boost::asio::awaitable<void> RefuseUnread(boost::beast::error_code error);
  boost::asio::awaitable<bool> Send(const ApiReply& reply, Form form);
  boost::asio::awaitable<bool> SendAnswer(Form form);
  boost::asio::awaitable<bool> SendResponse(Form form);
  boost::asio::awaitable<bool> SendStream(Form form);
  void EndAnswer();
  boost::asio::awaitable<bool> Write(const std::string& text, bool chunked);
  // Sleeps until the answer has something new. False: the client is gone.
  boost::asio::awaitable<bool> WaitForAnswer();
  boost::asio::awaitable<void> Close();
  boost::asio::awaitable<void> Linger();
  bool ClientGone();
  bool KeepsAlive(Form form) const { return form.keep_alive && !connections_.draining(); }
  std::function<void()> Waker();
  PlainStream& socket() { return boost::beast::get_lowest_layer(stream_); }

  Stream stream_;
  boost::beast::flat_buffer buffer_;
  boost::asio::steady_timer wake_;
  std::string peer_;
  Api& api_;
  ConnectionSet& connections_;
  std::unique_ptr<RunningAnswer> answer_;
  std::string_view route_;  // the answer's
  bool idle_ = false;  // between two requests
};

}  // namespace modelc

#endif  // MODELC_CORE_SERVING_CONNECTION_H_
