//! The HTTP API of a running node, one request at a time.
//!
//! Invariants
//! - Connecting and each answer have a time limit, and no more than `ANSWER_BYTES_MAX` of an answer
//!   is kept.
//! - A request is sent again only if none of it had left.
//! - Paths are made by `path`: what a name holds never becomes another path.
//!
//! Not here: what an answer means.

mod address;
mod error;
mod tls;

use std::cell::RefCell;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{self, HeaderMap};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

pub(crate) use address::{NodeAddress, NodeArgs, ask_password, password_of_file};
pub(crate) use error::ClientError;

/// The longest answer that is taken, in bytes.
const ANSWER_BYTES_MAX: usize = 256 << 20;

const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

type Sender = SendRequest<Full<Bytes>>;

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// Its JSON; nothing is null.
    pub fn json(&self) -> Result<Value, ClientError> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).map_err(|error| ClientError::NotUnderstood {
            why: format!("its JSON is broken: {error}"),
        })
    }
}

/// A connection to a node, opened when it is needed and kept.
#[derive(Debug)]
pub(crate) struct Client {
    address: NodeAddress,
    runtime: Runtime,
    sender: RefCell<Option<Sender>>,
}

impl Client {
    /// Opens nothing yet.
    pub fn new(address: &NodeAddress) -> Result<Client, ClientError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| ClientError::System(error.to_string()))?;
        Ok(Client {
            address: address.clone(),
            runtime,
            sender: RefCell::new(None),
        })
    }

    /// The node that it speaks to.
    pub fn address(&self) -> &NodeAddress {
        &self.address
    }

    /// Where the futures of this client run.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Asks; `path` has the `/api` in it, and the query if there is one.
    pub fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.call(Method::GET, path, &Value::Null)
    }

    /// Sets; null sends no body.
    pub fn put(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.call(Method::PUT, path, body)
    }

    /// Acts; null sends no body.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.call(Method::POST, path, body)
    }

    /// Deletes; null sends no body.
    pub fn delete(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.call(Method::DELETE, path, body)
    }

    /// As `post`, for a request that the node holds back for as long as `wait`.
    pub fn post_waiting(
        &self,
        path: &str,
        body: &Value,
        wait: Duration,
    ) -> Result<Value, ClientError> {
        let request = self.request(Method::POST, path, body);
        let answer = self.exchange(request?, self.address.answer_time_max + wait)?;
        self.judge(answer, path)?.json()
    }

    /// As `delete`, with a header.
    pub fn delete_because(&self, path: &str, reason: &str) -> Result<Value, ClientError> {
        let mut request = self.request(Method::DELETE, path, &Value::Null)?;
        let reason = header::HeaderValue::from_str(reason)
            .map_err(|_| ClientError::Usage("a reason is one line of plain text".to_owned()))?;
        request.headers_mut().insert("x-reason", reason);
        let answer = self.exchange(request, self.address.answer_time_max)?;
        self.judge(answer, path)?.json()
    }

    /// A GET with all that comes with its answer; a refusal is an answer, too.
    pub fn look(&self, path: &str) -> Result<Answer, ClientError> {
        let request = self.request(Method::GET, path, &Value::Null)?;
        self.exchange(request, self.address.answer_time_max)
    }

    fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value, ClientError> {
        let request = self.request(method, path, body)?;
        let answer = self.exchange(request, self.address.answer_time_max)?;
        self.judge(answer, path)?.json()
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let body = match body {
            Value::Null => Bytes::new(),
            body => Bytes::from(body.to_string()),
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.address.base))
            .header(header::HOST, &self.address.authority)
            .header(header::AUTHORIZATION, self.address.authorization())
            .header(header::CONTENT_TYPE, "application/json");
        let request = request.body(Full::new(body));
        request.map_err(|error| ClientError::Usage(format!("not a request: {error}")))
    }

    fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        time_max: Duration,
    ) -> Result<Answer, ClientError> {
        self.runtime.block_on(async {
            match tokio::time::timeout(time_max, self.send(request)).await {
                Ok(answer) => answer,
                Err(_) => {
                    // The answer may come yet: this connection is of no use to the next request.
                    self.sender.borrow_mut().take();
                    Err(ClientError::Silent {
                        node: self.address.show(),
                        seconds: time_max.as_secs(),
                    })
                }
            }
        })
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
        let kept = self.sender.borrow_mut().take();
        let (sent, mut sender) = match kept {
            None => {
                let mut sender = self.connect().await?;
                (sender.try_send_request(request).await, sender)
            }
            Some(mut sender) => match sender.try_send_request(request).await {
                // The node has closed the connection in the meantime.
                Err(mut error) if error.message().is_some() => {
                    let request = error.take_message().expect("it was there a line before");
                    let mut sender = self.connect().await?;
                    (sender.try_send_request(request).await, sender)
                }
                sent => (sent, sender),
            },
        };
        let response = sent.map_err(|error| self.broken(&error.into_error()))?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => ClientError::NotUnderstood {
                why: format!("it is longer than {ANSWER_BYTES_MAX} bytes"),
            },
            false => self.unreachable(format!("the connection broke: {error}")),
        })?;
        if sender.ready().await.is_ok() {
            self.sender.borrow_mut().replace(sender);
        }
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.to_bytes(),
        })
    }

    async fn connect(&self) -> Result<Sender, ClientError> {
        let connecting = TcpStream::connect((self.address.host.as_str(), self.address.port));
        let stream = tokio::time::timeout(CONNECT_TIME_MAX, connecting).await;
        let late = |_| self.unreachable("no connection within 5 s".to_owned());
        let stream = stream.map_err(late)?;
        let stream = stream.map_err(|error| self.unreachable(error.to_string()))?;
        // Requests are written whole: waiting for more only costs time.
        let _ = stream.set_nodelay(true);
        match &self.address.tls {
            None => self.shake_hands(TokioIo::new(stream)).await,
            Some(trust) => {
                let stream = tls::connect(trust, &self.address.host, stream).await;
                let stream = stream.map_err(|why| self.unreachable(why))?;
                self.shake_hands(TokioIo::new(stream)).await
            }
        }
    }

    async fn shake_hands(
        &self,
        io: impl hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    ) -> Result<Sender, ClientError> {
        let (sender, connection) = http1::handshake(io)
            .await
            .map_err(|error| self.unreachable(error.to_string()))?;
        tokio::spawn(async move {
            // What ends a connection is told to the request that is on it.
            let _ = connection.await;
        });
        Ok(sender)
    }

    /// Turns the refusals among answers into errors.
    fn judge(&self, answer: Answer, path: &str) -> Result<Answer, ClientError> {
        if answer.status.is_success() {
            return Ok(answer);
        }
        let shown = self.address.show();
        Err(error::of_answer(&answer, shown, &self.address.user, path))
    }

    fn unreachable(&self, why: String) -> ClientError {
        let node = self.address.show();
        ClientError::Unreachable { node, why }
    }

    fn broken(&self, error: &hyper::Error) -> ClientError {
        if error.is_parse() {
            let why = "it is no HTTP: is this the port of another protocol?".to_owned();
            return ClientError::NotUnderstood { why };
        }
        self.unreachable(format!("the connection broke: {error}"))
    }
}

/// The path below `/api` of these segments, each as it is.
pub(crate) fn path(segments: &[&str]) -> String {
    let mut path = "/api".to_owned();
    for segment in segments {
        path.push('/');
        encode(segment, &mut path);
    }
    path
}

/// A path with a query; a pair without a value is left out.
pub(crate) fn with_query(mut path: String, pairs: &[(&str, Option<String>)]) -> String {
    let mut before = if path.contains('?') { '&' } else { '?' };
    for (name, value) in pairs {
        let Some(value) = value else { continue };
        path.push(before);
        path.push_str(name);
        path.push('=');
        encode(value, &mut path);
        before = '&';
    }
    path
}

fn encode(text: &str, into: &mut String) {
    // A segment of dots alone would be taken for a step up by whatever stands between.
    let dots = text == "." || text == "..";
    for byte in text.bytes() {
        match byte {
            b'.' if dots => into.push_str("%2E"),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                into.push(char::from(byte));
            }
            byte => into.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests;
