//! A bridge between Matrix and IRC, written with `bridgehead-appservice` and with nothing but its public parts.

pub mod text;
