//! A bridge between Matrix and IRC, written with `bridgehead-appservice` and with nothing but its public parts.

pub mod ident;
pub mod ids;
pub mod link;
pub mod settings;
pub mod text;
