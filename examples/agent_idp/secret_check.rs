//! A client's name and what it says its secret is → whether it is, at a cost that does not tell why not.
//!
//! A wrong secret, of whomever, costs one cheap hash and then as many iterations as the dearest secret there is. Those are
//! worked off a few at a time, so that guesses do not hold up clients whose secrets are cheap to check, or were checked
//! before.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
};

use aws_lc_rs::{error::Unspecified, hmac};
use tokio::sync::Semaphore;

use super::{
    answers::Problem,
    bench::Bench,
    secret::{HashedSecret, random},
};

/// How many may wait for a dear check at a time.
const QUEUE: usize = 64;

/// Checks secrets.
pub(crate) struct SecretCheck {
    /// Of this process alone, so that what is remembered is of no use elsewhere.
    key: hmac::Key,
    /// By client, a tag of the dear secret that was right.
    remembered: Mutex<HashMap<String, hmac::Tag>>,
    /// How many iterations the dearest secret takes, where there is a dear one.
    dearest: Option<NonZeroU32>,
    places: Semaphore,
    cheap_work: Bench,
    dear_work: Bench,
}

impl SecretCheck {
    /// For clients with these secrets, and others whose secrets are random.
    pub(crate) fn new<'s>(secrets: impl IntoIterator<Item = &'s HashedSecret>) -> Result<Self, Unspecified> {
        let dear = secrets.into_iter().filter(|secret| secret.is_dear());
        Ok(Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()?),
            remembered: Mutex::default(),
            dearest: dear.map(HashedSecret::iterations).max(),
            places: Semaphore::new(QUEUE),
            cheap_work: Bench::whole(),
            dear_work: Bench::half(),
        })
    }

    /// Whether `secret` is the one of `client`, of which `kept` is the hash, where there is such a client.
    pub(crate) async fn is_right(
        &self,
        client: &str,
        secret: &str,
        kept: Option<&HashedSecret>,
    ) -> Result<bool, Problem> {
        let (dear, cheap) = match kept {
            Some(kept) if kept.is_dear() => (Some(kept), None),
            cheap => (None, cheap),
        };
        if dear.is_some_and(|kept| self.remembers(client, secret, kept)) {
            return Ok(true);
        }
        let cheap = cheap.cloned().unwrap_or_else(HashedSecret::cheap);
        if checked(&self.cheap_work, cheap, secret).await? {
            return Ok(true);
        }
        let Some(dearest) = self.dearest else { return Ok(false) };
        let _place = self.places.try_acquire().map_err(|_| Problem::Busy)?;
        let hashed = dear.cloned().unwrap_or_else(|| HashedSecret::of_nobody(dearest));
        let is_right = checked(&self.dear_work, hashed, secret).await?;
        if let Some(kept) = dear.filter(|_| is_right) {
            let tag = hmac::sign(&self.key, &tagged(kept, secret));
            self.remembered.lock().unwrap_or_else(PoisonError::into_inner).insert(client.to_owned(), tag);
        }
        Ok(is_right)
    }

    /// Whether this very secret was right before, for the hash that is kept now.
    fn remembers(&self, client: &str, secret: &str, kept: &HashedSecret) -> bool {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let tag = remembered.get(client);
        tag.is_some_and(|tag| hmac::verify(&self.key, &tagged(kept, secret), tag.as_ref()).is_ok())
    }
}

/// The salt changes with the secret, and so what was remembered of an earlier one is of no use.
fn tagged(kept: &HashedSecret, secret: &str) -> Vec<u8> {
    [kept.salt(), secret.as_bytes()].concat()
}

async fn checked(bench: &Bench, kept: HashedSecret, secret: &str) -> Result<bool, Problem> {
    let secret = secret.to_owned();
    bench.work(move || kept.is_of(&secret)).await
}

#[cfg(test)]
mod tests {
    use super::{super::secret::Secret, *};

    #[tokio::test]
    async fn a_chosen_secret_is_hashed_once_and_a_wrong_one_never_remembered() {
        let secret = Secret::chosen("correct horse".to_owned());
        let (kept, other) = (secret.hash().unwrap(), Secret::chosen("battery".to_owned()).hash().unwrap());
        let check = SecretCheck::new([&kept]).unwrap();
        assert!(!check.is_right("admin", "wrong", Some(&kept)).await.unwrap());
        assert!(!check.remembers("admin", "wrong", &kept));
        assert!(!check.remembers("admin", secret.expose(), &kept));
        assert!(check.is_right("admin", secret.expose(), Some(&kept)).await.unwrap());
        assert!(check.remembers("admin", secret.expose(), &kept));
        // Nobody else's, and not after a rotation.
        assert!(!check.remembers("another", secret.expose(), &kept));
        assert!(!check.remembers("admin", secret.expose(), &other));
        assert!(!check.remembers("admin", "wrong", &kept));
        assert!(!check.is_right("admin", secret.expose(), Some(&other)).await.unwrap());
        assert!(!check.is_right("nobody", secret.expose(), None).await.unwrap());
    }

    #[tokio::test]
    async fn who_guesses_does_not_hold_up_who_knows() {
        let (chosen, random) = (Secret::chosen("correct horse".to_owned()), Secret::random().unwrap());
        let (dear, cheap) = (chosen.hash().unwrap(), random.hash().unwrap());
        let check = SecretCheck::new([&dear, &cheap]).unwrap();
        assert!(check.is_right("admin", chosen.expose(), Some(&dear)).await.unwrap());
        // As if as many guess as there are places.
        let _places = check.places.acquire_many(QUEUE.try_into().unwrap()).await.unwrap();
        assert!(check.is_right("admin", chosen.expose(), Some(&dear)).await.unwrap());
        assert!(check.is_right("agent", random.expose(), Some(&cheap)).await.unwrap());
        for (client, kept) in [("admin", Some(&dear)), ("agent", Some(&cheap)), ("nobody", None)] {
            assert!(matches!(check.is_right(client, "wrong", kept).await, Err(Problem::Busy)), "{client}");
        }
    }
}
