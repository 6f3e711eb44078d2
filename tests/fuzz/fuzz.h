// The fuzz targets: each gives arbitrary bytes to one reader and checks what the reader promises about what it accepts.
#ifndef MODELC_TESTS_FUZZ_FUZZ_H_
#define MODELC_TESTS_FUZZ_FUZZ_H_

#include <cstddef>
#include <cstdint>

namespace modelc::fuzz {

using Target = void (*)(const uint8_t* data, size_t size);

void Safetensors(const uint8_t* data, size_t size);  // ReadSafetensorsHeader: every tensor lies in the file
void ProgramFile(const uint8_t* data, size_t size);  // ParseProgram: what parses, serializes and parses to the same
void TokenizerJson(const uint8_t* data, size_t size);   // Tokenizer::FromJson: what loads, encodes and decodes
void TokenizerText(const uint8_t* data, size_t size);   // Encode, Decode, StreamDecoder: decoding gives the text back
void ChatMessages(const uint8_t* data, size_t size);    // EncodeChat: an error or a prompt that is UTF-8
void ChatCompletion(const uint8_t* data, size_t size);  // StreamParser: the same however cut, and as ParseCompletion says

}  // namespace modelc::fuzz

#endif  // MODELC_TESTS_FUZZ_FUZZ_H_
