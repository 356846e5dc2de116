//! actors/settlement
