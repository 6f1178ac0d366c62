#include "server/protocol/compress.h"

#include <zlib.h>
#include <zstd.h>

#include <string>

#include "gtest/gtest.h"
#include "lib/base/random.h"
#include "tests/unit/protocol/testing.h"

namespace ursula::protocol {
namespace {

const ProtocolConfig kConfig;

Response TextResponse(std::string_view text) {
  Response response;
  response.headers.Add("Content-Type", "text/plain");
  response.headers.Add("ETag", "\"1-0-5t\"");
  std::size_t half = text.size() / 2;
  response.body = {Bytes::Copy(text.substr(0, half)), Bytes(), Bytes::Copy(text.substr(half))};
  return response;
}

// All of it, a step of `step` bytes after the other.
void Compress(Response* response, ContentCoding coding, std::size_t step = 32 << 10) {
  if (!Compression::Wanted(*response, coding, kConfig)) return;
  Compression compression(std::move(*response), coding);
  while (!compression.done()) {
    std::size_t left = compression.bytes_left();
    compression.Step(step);
    EXPECT_LE(left - compression.bytes_left(), step);
  }
  *response = compression.TakeResponse();
}

std::string Gunzip(std::string_view packed, std::size_t bytes) {
  std::string plain(bytes + 1, '\0');
  z_stream stream = {};
  inflateInit2(&stream, 15 + 16);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(plain.data());
  stream.avail_out = static_cast<uInt>(plain.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  plain.resize(stream.total_out);
  inflateEnd(&stream);
  return plain;
}

std::string Unzstd(std::string_view packed, std::size_t bytes) {
  std::string plain(bytes, '\0');
  ZSTD_DCtx* context = ZSTD_createDCtx();
  std::size_t size =
      ZSTD_decompressDCtx(context, plain.data(), plain.size(), packed.data(), packed.size());
  ZSTD_freeDCtx(context);
  EXPECT_FALSE(ZSTD_isError(size));
  plain.resize(ZSTD_isError(size) ? 0 : size);
  return plain;
}

std::string Repetitive(std::size_t bytes) {
  std::string text;
  for (int i = 0; text.size() < bytes; ++i) text += "line " + std::to_string(i) + "\n";
  text.resize(bytes);
  return text;
}

TEST(CompressTest, GzipAndZstdAreReadBack) {
  for (std::size_t bytes : {std::size_t{1024}, std::size_t{70'000}, std::size_t{1'500'000}}) {
    std::string text = Repetitive(bytes);
    Response gzip = TextResponse(text);
    Compress(&gzip, ContentCoding::kGzip);
    EXPECT_EQ(HeaderOf(gzip, "Content-Encoding"), "gzip");
    EXPECT_EQ(HeaderOf(gzip, "ETag"), "\"1-0-5t-gzip\"");
    EXPECT_LT(gzip.body_bytes(), bytes);
    EXPECT_EQ(Gunzip(BodyOf(gzip.body), bytes), text);
    Response zstd = TextResponse(text);
    Compress(&zstd, ContentCoding::kZstd);
    EXPECT_EQ(HeaderOf(zstd, "Content-Encoding"), "zstd");
    EXPECT_EQ(HeaderOf(zstd, "ETag"), "\"1-0-5t-zstd\"");
    EXPECT_EQ(Unzstd(BodyOf(zstd.body), bytes), text);
  }
}

TEST(CompressTest, StepsMakeNoDifferenceToWhatIsReadBack) {
  std::string text = Repetitive(200'000);
  for (std::size_t step : {std::size_t{1000}, std::size_t{65536}, text.size(), 2 * text.size()}) {
    Response gzip = TextResponse(text);
    Compress(&gzip, ContentCoding::kGzip, step);
    EXPECT_EQ(Gunzip(BodyOf(gzip.body), text.size()), text) << step;
    Response zstd = TextResponse(text);
    Compress(&zstd, ContentCoding::kZstd, step);
    EXPECT_EQ(Unzstd(BodyOf(zstd.body), text.size()), text) << step;
  }
}

TEST(CompressTest, LeavesAloneWhatGainsNothing) {
  Random random(1);
  std::string noise;
  for (int i = 0; i < 200'000; ++i) noise.push_back(static_cast<char>(random.Next()));
  for (ContentCoding coding : {ContentCoding::kGzip, ContentCoding::kZstd}) {
    Response small = TextResponse(Repetitive(1023));
    Compress(&small, coding);
    EXPECT_EQ(HeaderOf(small, "Content-Encoding"), "(none)");
    Response random_body = TextResponse(noise);
    Compress(&random_body, coding);
    EXPECT_EQ(HeaderOf(random_body, "Content-Encoding"), "(none)");
    EXPECT_EQ(BodyOf(random_body.body), noise);
    Response image = TextResponse(Repetitive(5000));
    image.headers.Set("Content-Type", "image/png");
    Compress(&image, coding);
    EXPECT_EQ(HeaderOf(image, "Content-Encoding"), "(none)");
    Response error = TextResponse(Repetitive(5000));
    error.status = 404;
    Compress(&error, coding);
    EXPECT_EQ(HeaderOf(error, "Content-Encoding"), "(none)");
  }
  Response plain = TextResponse(Repetitive(5000));
  Compress(&plain, ContentCoding::kIdentity);
  EXPECT_EQ(BodyOf(plain.body), Repetitive(5000));
}

}  // namespace
}  // namespace ursula::protocol
