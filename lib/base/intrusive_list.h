// lib/base/intrusive_list.h
//
// A doubly linked list through a base class of its elements: no allocation, O(1) unlink, an element
// in at most one list at a time for each Tag.

#pragma once

#include <cstddef>

#include "lib/base/check.h"

namespace ursula {

template <class Tag>
class ListHook {
 public:
  ListHook() = default;
  ListHook(const ListHook&) = delete;
  ListHook& operator=(const ListHook&) = delete;
  ~ListHook() { URSULA_CHECK(!linked()); }

  bool linked() const { return next_ != nullptr; }
  void Unlink() {
    URSULA_CHECK(linked());
    next_->previous_ = previous_;
    previous_->next_ = next_;
    next_ = previous_ = nullptr;
  }

 private:
  template <class T, class U>
  friend class IntrusiveList;
  ListHook* next_ = nullptr;
  ListHook* previous_ = nullptr;
};

// T derives from ListHook<Tag>. The list borrows its elements.
template <class T, class Tag = T>
class IntrusiveList {
 public:
  IntrusiveList() { head_.next_ = head_.previous_ = &head_; }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  ~IntrusiveList() {
    URSULA_CHECK(empty());
    head_.next_ = head_.previous_ = nullptr;
  }

  bool empty() const { return head_.next_ == &head_; }
  T* front() { return empty() ? nullptr : static_cast<T*>(head_.next_); }

  void PushBack(T* element) {
    ListHook<Tag>* hook = element;
    URSULA_CHECK(!hook->linked());
    hook->previous_ = head_.previous_;
    hook->next_ = &head_;
    head_.previous_->next_ = hook;
    head_.previous_ = hook;
  }

  // Moves all of `other`'s elements behind these, in their order.
  void Splice(IntrusiveList* other) {
    if (other->empty()) return;
    ListHook<Tag>* first = other->head_.next_;
    ListHook<Tag>* last = other->head_.previous_;
    other->head_.next_ = other->head_.previous_ = &other->head_;
    first->previous_ = head_.previous_;
    head_.previous_->next_ = first;
    last->next_ = &head_;
    head_.previous_ = last;
  }

  // Forward iteration. The element stood on may not be unlinked.
  class Iterator {
   public:
    explicit Iterator(ListHook<Tag>* at) : at_(at) {}
    T& operator*() const { return *static_cast<T*>(at_); }
    Iterator& operator++() {
      at_ = at_->next_;
      return *this;
    }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    ListHook<Tag>* at_;
  };
  Iterator begin() { return Iterator(head_.next_); }
  Iterator end() { return Iterator(&head_); }

  T* PopFront() {
    T* element = front();
    if (element != nullptr) static_cast<ListHook<Tag>*>(element)->Unlink();
    return element;
  }

 private:
  ListHook<Tag> head_;
};

}  // namespace ursula
