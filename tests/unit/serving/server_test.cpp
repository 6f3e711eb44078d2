// The server over real sockets, with a scripted engine. What clients see of the whole binary is in tests/e2e.
#include "core/serving/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <future>

#include "absl/strings/str_cat.h"
#include "tests/unit/serving/fakes.h"

namespace modelc {
namespace {

using testing::HasSubstr;

// One client's socket.
class Client {
 public:
  explicit Client(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  ~Client() { Close(); }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  void Send(std::string_view text) { EXPECT_EQ(send(fd_, text.data(), text.size(), MSG_NOSIGNAL), ssize_t(text.size())); }
  void Post(std::string_view body) {
    Send(absl::StrCat("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: ", body.size(), "\r\n\r\n",
                      absl::string_view(body.data(), body.size())));
  }
  // Reads until `end` has been seen, the server closes, or ten seconds have passed.
  std::string ReadUntil(std::string_view end) {
    std::string text;
    char bytes[4096];
    pollfd descriptor{fd_, POLLIN, 0};
    while (text.find(end) == std::string::npos && poll(&descriptor, 1, 10000) > 0) {
      const ssize_t n = recv(fd_, bytes, sizeof(bytes), 0);
      if (n <= 0) break;
      text.append(bytes, n);
    }
    return text;
  }
  // Everything until the server closes.
  std::string ReadAll() { return ReadUntil("\x01never"); }

 private:
  int fd_;
};

class ServerTest : public testing::Test {
 protected:
  void Start(std::string_view answer, bool hold = false) {
    engine_ = std::make_unique<ScriptedEngine>(answer, hold);
    service_ = std::make_unique<ChatService>("scripted", engine_.get(), &tokenizer_, EndingDefaults());
    api_ = std::make_unique<Api>(service_.get(), ApiKeys(), 0);
    std::promise<std::string> ready;
    thread_ = std::thread([this, &ready] {
      result_ = Serve(*api_, ServerOptions{"127.0.0.1:0", "", ""}, [&](const std::string& url) { ready.set_value(url); });
    });
    const std::string url = ready.get_future().get();
    port_ = std::stoi(url.substr(url.rfind(':') + 1));
  }
  void Stop(int signal = SIGTERM) {
    if (!thread_.joinable()) return;
    kill(getpid(), signal);
    thread_.join();
  }
  void TearDown() override { Stop(); }

  static constexpr char kHello[] = R"({"messages": [{"role": "user", "content": "Hi"}]})";
  static constexpr char kStream[] = R"({"stream": true, "messages": [{"role": "user", "content": "Hi"}]})";

  ByteTokenizer tokenizer_;
  std::unique_ptr<ScriptedEngine> engine_;
  std::unique_ptr<ChatService> service_;
  std::unique_ptr<Api> api_;
  std::thread thread_;
  absl::StatusOr<int> result_ = 0;
  int port_ = 0;
};

TEST_F(ServerTest, KeepsConnectionsAlive) {
  Start("x</think>yes");
  Client client(port_);
  for (int i = 0; i < 3; ++i) {
    client.Post(kHello);
    EXPECT_THAT(client.ReadUntil("\"usage\""), HasSubstr("\"content\":\"yes\""));
  }
  client.Send("GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string both = client.ReadAll();
  EXPECT_EQ(both.find("200 OK"), 9u);
  EXPECT_NE(both.rfind("200 OK"), 9u) << "pipelined requests are answered in turn";
}

TEST_F(ServerTest, StreamsEvents) {
  Start("x</think>yes");
  Client client(port_);
  client.Post(kStream);
  const std::string text = client.ReadUntil("\r\n0\r\n\r\n");
  EXPECT_THAT(text, HasSubstr("Content-Type: text/event-stream"));
  EXPECT_THAT(text, HasSubstr("Transfer-Encoding: chunked"));
  EXPECT_THAT(text, HasSubstr("\"reasoning_content\":\"x\""));
  EXPECT_THAT(text, HasSubstr("data: [DONE]\n\n"));
  client.Post(kStream);
  EXPECT_THAT(client.ReadUntil("\r\n0\r\n\r\n"), HasSubstr("[DONE]"));
}

TEST_F(ServerTest, Http10StreamsEndByClosing) {
  Start("x</think>yes");
  Client client(port_);
  client.Send(absl::StrCat("POST /v1/chat/completions HTTP/1.0\r\nContent-Length: ", strlen(kStream), "\r\n\r\n", kStream));
  const std::string text = client.ReadAll();
  EXPECT_EQ(text.find("chunked"), std::string::npos);
  EXPECT_TRUE(text.ends_with("data: [DONE]\n\n"));
}

TEST_F(ServerTest, AClientThatLeavesIsCancelled) {
  Start("x</think>yes", /*hold=*/true);
  Client streaming(port_), waiting(port_);
  streaming.Post(kStream);
  streaming.ReadUntil("\"content\":\"s\"");
  waiting.Post(kHello);
  while (engine_->requests().size() < 2) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  streaming.Close();
  EXPECT_TRUE(engine_->WaitForCancelled(1));
  waiting.Close();
  EXPECT_TRUE(engine_->WaitForCancelled(2));
}

TEST_F(ServerTest, RefusesWhatIsNoHttpOrTooLarge) {
  Start("x");
  Client nonsense(port_);
  nonsense.Send("SSH-2.0-hello\r\n\r\n");
  EXPECT_THAT(nonsense.ReadAll(), HasSubstr("400 Bad Request"));
  Client large(port_);
  large.Send("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n");
  EXPECT_THAT(large.ReadAll(), testing::AllOf(HasSubstr("413 Payload Too Large"), HasSubstr("request_too_large")));
  Client header(port_);
  header.Send("GET / HTTP/1.1\r\nX: " + std::string(20000, 'x'));
  EXPECT_THAT(header.ReadAll(), HasSubstr("431"));
  Client fine(port_);
  fine.Send("HEAD /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string head = fine.ReadAll();
  EXPECT_THAT(head, HasSubstr("200 OK"));
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));
}

TEST_F(ServerTest, AsksForTheBodyWhenTold) {
  Start("x</think>yes");
  Client client(port_);
  client.Send(absl::StrCat("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ",
                           strlen(kHello), "\r\n\r\n"));
  EXPECT_THAT(client.ReadUntil("\r\n\r\n"), HasSubstr("100 Continue"));
  client.Send(kHello);
  EXPECT_THAT(client.ReadUntil("\"usage\""), HasSubstr("yes"));
}

TEST_F(ServerTest, ShutdownLetsAnswersEnd) {
  Start("x</think>yes", /*hold=*/true);
  Client idle(port_), busy(port_);
  busy.Post(kHello);
  while (engine_->requests().empty()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  kill(getpid(), SIGINT);
  EXPECT_EQ(idle.ReadAll(), "");
  engine_->Release();  // the idle client was turned away: the signal has been taken
  EXPECT_THAT(busy.ReadAll(), testing::AllOf(HasSubstr("\"content\":\"yes\""), HasSubstr("Connection: close")));
  thread_.join();
  ASSERT_TRUE(result_.ok());
  EXPECT_EQ(*result_, SIGINT);
}

TEST_F(ServerTest, ASecondSignalCancels) {
  Start("x</think>yes", /*hold=*/true);
  Client busy(port_);
  busy.Post(kStream);
  busy.ReadUntil("\"content\":\"s\"");
  kill(getpid(), SIGTERM);
  // Only once the first has been taken: a signal sent twice at once counts once.
  for (bool draining = false; !draining; std::this_thread::sleep_for(std::chrono::milliseconds(20))) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port_));
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    draining = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0;
    close(fd);
  }
  kill(getpid(), SIGTERM);
  thread_.join();
  EXPECT_TRUE(engine_->WaitForCancelled(1));
}

TEST(ServerOptions, BadOnesAreRefused) {
  ByteTokenizer tokenizer;
  ScriptedEngine engine("x");
  ChatService service("scripted", &engine, &tokenizer, {});
  Api api(&service, ApiKeys(), 0);
  const auto serve = [&](const ServerOptions& options) {
    return Serve(api, options, [](const std::string&) { ADD_FAILURE() << "it serves"; }).status();
  };
  for (const char* listen : {"", "8000", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:70000", "256.1.1.1.invalid:1"}) {
    EXPECT_FALSE(serve({listen, "", ""}).ok()) << listen;
  }
  EXPECT_THAT(std::string(serve({"127.0.0.1:0", "cert.pem", ""}).message()), HasSubstr("--tls-key"));
  EXPECT_THAT(std::string(serve({"127.0.0.1:0", "none.pem", "none.pem"}).message()),
              HasSubstr("none.pem"));
}

}  // namespace
}  // namespace modelc
