//! A server and a client on the loopback interface, with and without the relay's link between them.

mod failures;
mod forgery;
mod lanes;
mod links;
mod marks;
mod proof;
mod proxies;
mod websocket;
mod world;
