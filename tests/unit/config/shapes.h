// Files built around one fragment, which is alone on line 2, so that its positions are easy to recognise.
#pragma once

#include <string>
#include <string_view>

#include "master/config/host.h"

namespace bulkhead::config {

// The role of the fragment: the whole file; further keys of the top level, of the root, of a good listener or process;
// one child; or the children of a root with auto_shutdown.
enum class Shape { whole, top, root, listener, process, child, children };

inline std::string file_of(Shape shape, std::string_view fragment) {
  const std::string middle = "\n" + std::string(fragment) + "\n";
  const std::string echo = R"({"id":"a","type":"listener","listen":"4040","handler":"echo")";
  switch (shape) {
    case Shape::whole: break;
    case Shape::top: return R"({"supervisor":{"children":[)" + echo + "}]}," + middle + "}";
    case Shape::root: return R"({"supervisor":{"children":[)" + echo + "}]," + middle + "}}";
    case Shape::listener: return R"({"supervisor":{"children":[)" + echo + "," + middle + "}]}}";
    case Shape::process:
      return R"({"supervisor":{"children":[{"id":"p","type":"process","argv":["/bin/sh"],)" + middle + "}]}}";
    case Shape::child: return R"({"supervisor":{"children":[)" + middle + "]}}";
    case Shape::children: return R"({"supervisor":{"auto_shutdown":"any_significant","children":[)" + middle + "]}}";
  }
  return std::string(fragment);
}

inline std::string texts(const Loaded& loaded) {
  std::string out;
  for (const Problem& problem : loaded.problems) {
    if (!out.empty()) out += '\n';
    out += problem.text();
  }
  return out;
}

}  // namespace bulkhead::config
