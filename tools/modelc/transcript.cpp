#include "tools/modelc/transcript.h"

namespace modelc {

void Transcript::Show(const Json& chunk) {
  for (const Json& choice : chunk.value("choices", Json::array())) {
    const Json delta = choice.value("delta", Json::object());
    if (const Json text = delta.value("reasoning_content", Json()); text.is_string()) {
      reasoning_ += text.get_ref<const std::string&>();
      if (terminal_) Write(text.get_ref<const std::string&>(), /*dim=*/true);
    }
    if (const Json text = delta.value("content", Json()); text.is_string() && text != "") {
      content_ += text.get_ref<const std::string&>();
      if (dim_ && line_open_) Write("\n", true);
      Write(text.get_ref<const std::string&>(), false);
    }
    for (const Json& piece : delta.value("tool_calls", Json::array())) AddCall(piece);
    if (choice.value("finish_reason", Json()).is_string()) {
      if (!calls_.empty()) Write(")", false);
      if (choice.contains("warning")) {
        End();
        Write("[" + choice.value("warning", "") + "]", true);
      }
    }
  }
  out_.flush();
}

// A call reads name({"arguments": …}), each on its line.
void Transcript::AddCall(const Json& piece) {
  const Json function = piece.value("function", Json::object());
  if (const std::string name = function.value("name", ""); !name.empty()) {
    if (!calls_.empty()) Write(")", false);
    if (line_open_) Write("\n", false);
    Write(name + "(", false);
    calls_.push_back({{"id", piece.value("id", "")}, {"type", "function"}, {"function", {{"name", name}, {"arguments", ""}}}});
  }
  if (calls_.empty()) return;
  const std::string text = function.value("arguments", "");
  Json& arguments = calls_.back()["function"]["arguments"];
  arguments = arguments.get<std::string>() + text;
  Write(text, false);
}

void Transcript::Write(std::string_view text, bool dim) {
  if (text.empty()) return;
  if (terminal_ && dim != dim_) out_ << (dim ? "\x1b[2m" : "\x1b[0m");
  dim_ = dim;
  out_ << text;
  line_open_ = text.back() != '\n';
}

void Transcript::End() {
  if (terminal_ && dim_) out_ << "\x1b[0m";
  dim_ = false;
  if (line_open_) out_ << "\n";
  line_open_ = false;
  out_.flush();
}

Json Transcript::message() const {
  Json message = {{"role", "assistant"}, {"content", content_}};
  if (!reasoning_.empty()) message["reasoning_content"] = reasoning_;
  if (!calls_.empty()) message["tool_calls"] = calls_;
  return message;
}

}  // namespace modelc
