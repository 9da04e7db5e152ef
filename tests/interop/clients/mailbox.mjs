// Messages in the order of their arrival, for a reader who asks for the next one. Runs in Node and in the browser.

export class Mailbox {
  messages = [];
  readers = [];
  failure = null;

  put(message) {
    const reader = this.readers.shift();
    if (reader) reader.resolve(message);
    else this.messages.push(message);
  }

  // No message will come any more.
  fail(error) {
    this.failure = error;
    for (const reader of this.readers.splice(0)) reader.reject(error);
  }

  take() {
    if (this.messages.length > 0) return Promise.resolve(this.messages.shift());
    if (this.failure) return Promise.reject(this.failure);
    return new Promise((resolve, reject) => this.readers.push({ resolve, reject }));
  }
}
