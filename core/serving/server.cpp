#include "core/serving/server.h"

#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/serving/connection.h"
#include "core/support/status.h"
#include "core/support/strings.h"

namespace modelc {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using namespace std::chrono_literals;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr size_t kMaxConnections = 1000;
constexpr auto kGrace = 10s;  // for answers under way at shutdown

absl::StatusOr<tcp::endpoint> Resolve(asio::io_context& io, std::string_view listen) {
  const size_t colon = listen.rfind(':');
  int port = -1;
  if (colon == std::string_view::npos || !absl::SimpleAtoi(Absl(listen.substr(colon + 1)), &port) || port < 0 ||
      port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("--listen is '", Absl(listen), "'; it must be ADDR:PORT, for example 127.0.0.1:8000"));
  }
  std::string host(listen.substr(0, colon));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  beast::error_code error;
  const auto found = tcp::resolver(io).resolve(host, std::to_string(port), error);
  if (error || found.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("--listen: cannot resolve '", host, "': ", error.message()));
  }
  return found.begin()->endpoint();
}

absl::Status Listen(tcp::acceptor& acceptor, const tcp::endpoint& endpoint) {
  beast::error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("cannot listen on ", endpoint.address().to_string(), ":", endpoint.port(),
                                             ": ", error.message(), "; choose another with --listen"));
}

// A shell's soft limit is often about the number of connections; the hard one is what the system means.
void RaiseFileLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);  // where it fails, connections beyond the limit wait
}

// Null without --tls-cert.
absl::StatusOr<std::unique_ptr<asio::ssl::context>> OpenTls(const ServerOptions& options) {
  if (options.tls_cert.empty() && options.tls_key.empty()) return nullptr;
  if (options.tls_cert.empty() || options.tls_key.empty()) {
    return absl::InvalidArgumentError("--tls-cert and --tls-key go together; give both");
  }
  auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
  beast::error_code error;
  context->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                           asio::ssl::context::no_tlsv1_1, error);
  context->use_certificate_chain_file(options.tls_cert.string(), error);
  if (error) {
    return absl::InvalidArgumentError(absl::StrCat("--tls-cert ", options.tls_cert.string(), ": ", error.message()));
  }
  context->use_private_key_file(options.tls_key.string(), asio::ssl::context::pem, error);
  if (!error && SSL_CTX_check_private_key(context->native_handle()) != 1) {
    return absl::InvalidArgumentError(absl::StrCat("--tls-key ", options.tls_key.string(), " does not fit the certificate"));
  }
  if (error) {
    return absl::InvalidArgumentError(absl::StrCat("--tls-key ", options.tls_key.string(), ": ", error.message()));
  }
  return context;
}

// Whom an address stands for: of IPv6 a client has the whole /64.
std::string ClientOf(const asio::ip::address& address) {
  if (!address.is_v6() || address.to_v6().is_v4_mapped()) return address.to_string();
  asio::ip::address_v6::bytes_type bytes = address.to_v6().to_bytes();
  std::fill(bytes.begin() + 8, bytes.end(), 0);
  return absl::StrCat(asio::ip::address_v6(bytes).to_string(), "/64");
}

template <class Stream>
void Spawn(Stream stream, std::string peer, Api& api, ConnectionSet& connections) {
  const auto executor = stream.get_executor();
  auto connection = std::make_shared<Connection<Stream>>(std::move(stream), std::move(peer), &api, &connections);
  // The handler keeps the connection until Run ends; an exception (out of memory) ends this connection alone.
  asio::co_spawn(executor, connection->Run(), [connection](std::exception_ptr) {});
}

class Server {
 public:
  Server(Api& api, std::unique_ptr<asio::ssl::context> tls)
      : api_(api), tls_(std::move(tls)), control_(asio::make_strand(io_)), acceptor_(control_), signals_(control_) {}
  ~Server() { connections_.AbandonAll(); }  // no thread runs any more; the engine must not wake a dying io_context

  absl::StatusOr<std::string> Open(const std::string& listen) {
    MODELC_ASSIGN_OR_RETURN(const tcp::endpoint endpoint, Resolve(io_, listen));
    MODELC_RETURN_IF_ERROR(Listen(acceptor_, endpoint));
    for (const int signal : {SIGINT, SIGTERM}) signals_.add(signal);
    const tcp::endpoint bound = acceptor_.local_endpoint();
    const std::string address = bound.address().to_string();
    return absl::StrCat(tls_ ? "https://" : "http://", bound.address().is_v6() ? absl::StrCat("[", address, "]") : address,
                        ":", bound.port());
  }

  int Run() {
    asio::co_spawn(control_, Accept(), asio::detached);
    asio::co_spawn(control_, ShutDownOnSignal(), asio::detached);
    std::vector<std::thread> helpers;
    const unsigned threads = std::clamp(std::thread::hardware_concurrency() / 4, 2u, 8u);
    for (unsigned i = 1; i < threads; ++i) helpers.emplace_back([this] { io_.run(); });
    io_.run();
    for (std::thread& helper : helpers) helper.join();
    return signal_;
  }

 private:
  asio::awaitable<void> Accept() {
    while (acceptor_.is_open()) {
      auto [error, socket] = co_await acceptor_.async_accept(asio::make_strand(io_), kToken);
      if (error) {  // out of file descriptors, say: others will close
        asio::steady_timer pause(control_, 100ms);
        co_await pause.async_wait(kToken);
        continue;
      }
      beast::error_code ignored;
      const tcp::endpoint peer = socket.remote_endpoint(ignored);
      if (ignored || connections_.size() >= kMaxConnections) continue;
      socket.set_option(tcp::no_delay(true), ignored);
      beast::tcp_stream stream(std::move(socket));
      try {
        if (tls_) {
          Spawn(TlsStream(std::move(stream), *tls_), ClientOf(peer.address()), api_, connections_);
        } else {
          Spawn(std::move(stream), ClientOf(peer.address()), api_, connections_);
        }
      } catch (const std::exception&) {  // out of memory, say: this connection alone is lost
      }
    }
  }

  asio::awaitable<void> ShutDownOnSignal() {
    const auto [error, signal] = co_await signals_.async_wait(kToken);
    signal_ = signal;
    acceptor_.close();
    connections_.Drain();
    signals_.async_wait([this](beast::error_code, int) { io_.stop(); });
    const auto deadline = std::chrono::steady_clock::now() + kGrace;
    while (connections_.size() > 0 && std::chrono::steady_clock::now() < deadline) {
      asio::steady_timer pause(control_, 20ms);
      co_await pause.async_wait(kToken);
    }
    io_.stop();
  }

  Api& api_;
  std::unique_ptr<asio::ssl::context> tls_;
  ConnectionSet connections_;
  asio::io_context io_;
  asio::strand<asio::io_context::executor_type> control_;
  tcp::acceptor acceptor_;
  asio::signal_set signals_;
  int signal_ = 0;
};

}  // namespace

absl::StatusOr<int> Serve(Api& api, const ServerOptions& options, const std::function<void(const std::string&)>& ready) {
  MODELC_ASSIGN_OR_RETURN(std::unique_ptr<asio::ssl::context> tls, OpenTls(options));
  RaiseFileLimit();
  Server server(api, std::move(tls));
  MODELC_ASSIGN_OR_RETURN(const std::string url, server.Open(options.listen));
  ready(url);
  return server.Run();
}

}  // namespace modelc
