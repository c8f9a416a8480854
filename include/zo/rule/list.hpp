// The rules whose loops are compiled with zo: in src/optimizer.cpp, where a program's own flags
// cannot change the bits of a run, and in cuda/optimizer.cu. A new one is a file beside this one,
// and a line and a name here.
#pragma once

#include <concepts>

#include "zo/config.hpp"
#include "zo/rule/adam.hpp"
#include "zo/rule/box.hpp"
#include "zo/rule/l1.hpp"
#include "zo/rule/sgd.hpp"
#include "zo/rule/sign_sgd.hpp"

namespace zo::detail {

template <class... Rules>
struct rule_list {};

using rules = rule_list<sgd, sign_sgd, adam, box, l1>;

// What needs no gradient: the end of a step.
template <class Element>
concept ending_element = requires(const Element& element, index_t i) {
  element(i);
};

// Where a table made of the list, float before double, has an element; -1: it does not.
template <class Element, class... Rules>
constexpr int place_in(rule_list<Rules...>) {
  int place = 0;
  const bool found = ((std::same_as<Element, typename Rules::template element<float>> ||
                       (++place, std::same_as<Element, typename Rules::template element<double>>) ||
                       (++place, false)) ||
                      ...);
  return found ? place : -1;
}
template <class Element>
inline constexpr int place_of = place_in<Element>(rules{});

// What an element does to coordinates begin … end-1.
template <class Element, class T>
void walk_here(const void* element, index_t begin, index_t end, const void* gradient) {
  const Element own = *static_cast<const Element*>(element);  // no store changes it: wide loops
  const T* const g = static_cast<const T*>(gradient);
  for (index_t i = begin; i < end; ++i) {
    if constexpr (ending_element<Element>) {
      own(i);
    } else {
      own(i, g[i]);
    }
  }
}

// The same of the element at a place of the list, compiled without contraction.
void walk_compiled(int place, const void* element, index_t begin, index_t end,
                   const void* gradient);

template <class Element, class T>
void walk(const Element& element, index_t begin, index_t end, const T* gradient) {
  if constexpr (place_of<Element> >= 0) {
    walk_compiled(place_of<Element>, &element, begin, end, gradient);
  } else {
    walk_here<Element, T>(&element, begin, end, gradient);
  }
}

}  // namespace zo::detail
