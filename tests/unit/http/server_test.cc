// The server over real sockets on the real runtime: what virtual time can't show.

#include "server/http/server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "lib/io/runtime.h"
#include "server/http/stream_handler.h"
#include "tests/support/fake_engine.h"

namespace ursula::http {
namespace {

// A blocking client. Reads give up after 20 s, so that a hang is a failure.
class Client {
 public:
  explicit Client(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    timeval limit = {20, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~Client() { close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool connected() const { return connected_; }

  bool Write(std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  void End() { shutdown(fd_, SHUT_WR); }

  // Up to and with `word`; all that came if the connection ended before.
  std::string ReadTo(std::string_view word) {
    while (received_.find(word) == std::string::npos && Fill()) {
    }
    std::size_t at = received_.find(word);
    std::size_t size = at == std::string::npos ? received_.size() : at + word.size();
    std::string text = received_.substr(0, size);
    received_.erase(0, size);
    return text;
  }
  std::string ReadSize(std::size_t size) {
    while (received_.size() < size && Fill()) {
    }
    std::string text = received_.substr(0, size);
    received_.erase(0, text.size());
    return text;
  }
  std::string ReadAll() {
    while (Fill()) {
    }
    return std::move(received_);
  }

 private:
  bool Fill() {
    char bytes[65536];
    ssize_t size = recv(fd_, bytes, sizeof(bytes), 0);
    if (size <= 0) return false;
    received_.append(bytes, static_cast<std::size_t>(size));
    return true;
  }

  int fd_;
  bool connected_ = false;
  std::string received_;
};

// Answers with the body, and says that the core of the target's last digit has done it.
class PlaceHandler final : public Handler {
 public:
  void OnRequest(Exchange* exchange) override {
    const char core = exchange->request().target.back();
    exchange->ServedOn(CoreId{static_cast<uint16_t>(core - '0')});
    protocol::Response response;
    response.body = {exchange->request().body};
    exchange->Reply(std::move(response));
  }
};

class ServerTest : public ::testing::Test {
 protected:
  void Start(HttpOptions options = {}) {
    RuntimeOptions runtime_options;
    runtime_options.core_count = cores_;
    auto runtime = NewRuntime(runtime_options);
    ASSERT_TRUE(runtime.ok()) << runtime.status().ToString();
    runtime_ = std::move(*runtime);
    io::LoopRuntime& loops = io::LoopRuntime::Of(*runtime_);
    engine_ = std::make_unique<testing::FakeEngine>(&loops.loop(CoreId{0}));
    auto server = StartServer(options);
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = std::move(*server);
  }
  Result<std::unique_ptr<Server>> StartServer(const HttpOptions& options) {
    return Server::Start(&io::LoopRuntime::Of(*runtime_), options, {},
                         [this](const HandlerCore& core) -> std::unique_ptr<Handler> {
                           if (cores_ > 1) return std::make_unique<PlaceHandler>();
                           return std::make_unique<StreamHandler>(
                               engine_.get(), &config_, &live_, &frames_, core.loop, core.counters);
                         });
  }
  void TearDown() override {
    if (server_ == nullptr) return;
    EXPECT_TRUE(stopped_ || server_->Stop());
    runtime_.reset();
  }
  void Put(Client* client, std::string_view target) {
    client->Write("PUT " + std::string(target) +
                  " HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    EXPECT_TRUE(client->ReadTo("\r\n\r\n").starts_with("HTTP/1.1 201"));
  }

  uint16_t cores_ = 1;  // With more there is no engine, but a PlaceHandler.
  protocol::ProtocolConfig config_;
  LiveOptions live_;
  SharedFrames frames_;
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<testing::FakeEngine> engine_;
  std::unique_ptr<Server> server_;
  bool stopped_ = false;
};

TEST_F(ServerTest, TakesAndGivesMegabytes) {
  config_.read_bytes_max = 10 << 20;
  Start();
  Client client(server_->port());
  Put(&client, "/v1/stream/s");
  std::string body(10 << 20, 'x');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 7 + i / 1000);
  ASSERT_TRUE(
      client.Write("POST /v1/stream/s HTTP/1.1\r\nHost: h\r\nContent-Type: "
                   "application/octet-stream\r\nContent-Length: " +
                   std::to_string(body.size()) + "\r\n\r\n"));
  ASSERT_TRUE(client.Write(body));
  EXPECT_TRUE(client.ReadTo("\r\n\r\n").starts_with("HTTP/1.1 204"));
  client.Write("GET /v1/stream/s HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(client.ReadTo("\r\n\r\n").starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(client.ReadSize(body.size()) == body);
}

TEST_F(ServerTest, TooLargeABodyIsAnsweredToAClientThatSendsItAll) {
  HttpOptions options;
  options.limits.body_bytes_max = 1 << 20;
  Start(options);
  Client client(server_->port());
  ASSERT_TRUE(
      client.Write("POST /v1/stream/s HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\n"
                   "Content-Length: 41943040\r\n\r\n"));
  std::string piece(1 << 20, 'x');
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(client.Write(piece)) << i;
  EXPECT_TRUE(client.ReadTo("\r\n\r\n").starts_with("HTTP/1.1 413"));
}

TEST_F(ServerTest, HundredConnectionsAtOnce) {
  Start();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 100; ++i) clients.push_back(std::make_unique<Client>(server_->port()));
  for (std::size_t i = 0; i < clients.size(); ++i) {
    Put(clients[i].get(), "/v1/stream/s" + std::to_string(i));
  }
  EXPECT_EQ(server_->Stats().connections_open, 100u);
  EXPECT_EQ(server_->Stats().requests, 100u);
}

TEST_F(ServerTest, SubscriberSeesAppendsOfOthersAndTheStop) {
  Start();
  Client writer(server_->port());
  Put(&writer, "/v1/stream/s");
  Client reader(server_->port());
  reader.Write("GET /v1/stream/s?live=sse&offset=-1 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_NE(reader.ReadTo("upToDate").find("event: control"), std::string::npos);
  writer.Write(
      "POST /v1/stream/s HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\n"
      "Content-Length: 5\r\n\r\nhello");
  EXPECT_NE(reader.ReadTo("upToDate").find("event: data"), std::string::npos);
  stopped_ = true;
  EXPECT_TRUE(server_->Stop());
  std::string rest = reader.ReadAll();
  EXPECT_NE(rest.find("event: control"), std::string::npos);
  EXPECT_TRUE(rest.ends_with("0\r\n\r\n"));
  EXPECT_FALSE(Client(server_->port()).connected());
  EXPECT_EQ(server_->Stats().connections_open, 0u);
}

TEST_F(ServerTest, ClientsThatLeaveInTheMiddleLeaveNothingBehind) {
  Start();
  Client writer(server_->port());
  Put(&writer, "/v1/stream/s");
  for (std::string_view request :
       {"GET /v1/str", "POST /v1/stream/s HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\nabc",
        "GET /v1/stream/s?live=sse&offset=-1 HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /v1/stream/s?live=long-poll&offset=now HTTP/1.1\r\nHost: h\r\n\r\n"}) {
    Client client(server_->port());
    client.Write(request);
    client.End();
    client.ReadAll();  // Until the server has closed it too.
  }
  while (server_->Stats().connections_open > 1) std::this_thread::yield();
  EXPECT_EQ(server_->Stats().requests_open, 0u);
}

// Each client asks in pieces that end anywhere, for one core and then for the other.
TEST_F(ServerTest, ConnectionsMoveWhileTheirClientsGoOn) {
  cores_ = 2;
  Start();
  constexpr int kClients = 8;
  constexpr int kRequests = 400;
  std::vector<std::thread> threads;
  for (int i = 0; i < kClients; ++i) {
    threads.emplace_back([this, i] {
      Client client(server_->port());
      std::string unsent;
      int answered = 0;
      for (int n = 0; n < kRequests; ++n) {
        const std::string body = std::to_string(n) + ";";
        unsent += "POST /" + std::to_string((n / 50 + i) % 2) +
                  " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) +
                  "\r\n\r\n" + body;
        const std::size_t size = n + 1 == kRequests ? unsent.size() : unsent.size() - n % 41;
        ASSERT_TRUE(client.Write(std::string_view(unsent).substr(0, size)));
        unsent.erase(0, size);
        if (n % 41 == 0) continue;
        for (; answered < n; ++answered) {
          ASSERT_TRUE(client.ReadTo(std::to_string(answered) + ";").starts_with("HTTP/1.1 200"));
        }
      }
      for (; answered < kRequests; ++answered) {
        ASSERT_TRUE(client.ReadTo(std::to_string(answered) + ";").starts_with("HTTP/1.1 200"));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(server_->Stats().requests, uint64_t{kClients * kRequests});
  EXPECT_EQ(server_->Stats().connections_accepted, uint64_t{kClients});
  EXPECT_GT(server_->Stats().connections_moved, uint64_t{kClients});
}

TEST_F(ServerTest, PortInUseIsRefused) {
  Start();
  HttpOptions options;
  options.port = server_->port();
  auto second = StartServer(options);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace ursula::http
