//! The server over real sockets, and people in its memory: scripts of who sends and who hears what.

mod accounts;
mod caps;
mod channels;
mod dialects;
mod drafts;
mod faults;
mod history;
mod labels;
mod limits;
mod messages;
mod modes;
mod people;
mod register;
mod script;
mod splits;
mod wire;
