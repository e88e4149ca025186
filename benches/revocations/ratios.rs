//! Ten million revocations → what a look costs beside a set's; by two threads at once, and while many are revoked.

#![allow(clippy::disallowed_methods, reason = "measures time")]

use std::{
    hint::black_box,
    sync::{
        Barrier, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use portcullis::{AccessToken, status::Revocations};

use super::{Keys, Scene, key, revocation, support::quantile};

const ROUNDS: usize = 501;
/// How many looks are timed at once. So few that seldom anything else gets a turn meanwhile, on a busy machine too.
const LOOKS: usize = 512;
/// From round to round; by four times as many as there are in one.
const STEP: usize = 4 * LOOKS;

pub(super) fn print() {
    let scene = Scene { entries: 10_000_000, tokens: 131_072 };
    let revocations = scene.revocations();
    let not_revoked = scene.tokens(false);
    println!("{} entries, {ROUNDS} rounds, medians: nanoseconds, and times the first of a group\n", scene.entries);
    {
        let keys = RwLock::new(scene.keys());
        println!("not revoked");
        beside_a_set(&revocations, &keys, &not_revoked);
        println!("revoked");
        beside_a_set(&revocations, &keys, &scene.tokens(true));
    }
    by_two_threads(&revocations, &not_revoked);
    while_others_revoke(&revocations, &not_revoked, scene.entries);
}

fn beside_a_set(revocations: &Revocations, keys: &RwLock<Keys>, tokens: &[AccessToken]) {
    let ready: Vec<u128> = tokens.iter().map(id).collect();
    // With a lock as whoever may add to it needs one: without, a processor looks for several tokens at once, as no service
    // ever does.
    let locked = |key: u128| keys.read().unwrap().contains(&key);
    let rounds = rounds(tokens.len(), |at| {
        // Others for each: what was just looked for is near.
        let of = |part: usize, look: usize| (at + part * LOOKS + look) % tokens.len();
        let at_hand = {
            let keys = keys.read().unwrap();
            each(|look| keys.contains(&ready[of(0, look)]))
        };
        [
            at_hand,
            each(|look| locked(ready[of(1, look)])),
            each(|look| locked(id(&tokens[of(2, look)]))),
            each(|look| revocations.is_revoked(&tokens[of(3, look)])),
        ]
    });
    row("HashSet<u128>, key at hand", &rounds, 0, 0);
    row("RwLock<HashSet<u128>>, key at hand", &rounds, 1, 0);
    row("RwLock<HashSet<u128>>, from the token", &rounds, 2, 0);
    row("portcullis, from the token", &rounds, 3, 0);
    row("the same, to the set from the token", &rounds, 3, 2);
}

/// A core each, if there are two and they have nothing else to do.
fn by_two_threads(revocations: &Revocations, tokens: &[AccessToken]) {
    let rounds = rounds(tokens.len() / 2, |at| {
        let look = |start: usize| each(|look| revocations.is_revoked(&tokens[start + look]));
        // Both times near.
        look(at);
        look(tokens.len() / 2 + at);
        let both = Barrier::new(2);
        let two = thread::scope(|scope| {
            let other = scope.spawn(|| {
                both.wait();
                look(tokens.len() / 2 + at)
            });
            both.wait();
            (look(at) + other.join().unwrap()) / 2.0
        });
        [look(at), two]
    });
    println!("not revoked, by two threads at once, tokens read just before");
    row("portcullis, from the token, alone", &rounds, 0, 0);
    row("portcullis, from the token, two threads", &rounds, 1, 0);
}

/// Each revocation has every token looked at again, so every request pays for a look.
fn while_others_revoke(revocations: &Revocations, tokens: &[AccessToken], entries: u64) {
    const PAUSE: Duration = Duration::from_micros(100);
    let (is_over, revokes) = (AtomicBool::new(false), AtomicBool::new(false));
    let before = revocations.generation();
    let mut busy = Duration::ZERO;
    let rounds = thread::scope(|scope| {
        scope.spawn(|| {
            let (mut number, mut next) = (0, Instant::now());
            while !is_over.load(Ordering::Relaxed) {
                if revokes.load(Ordering::Relaxed) && Instant::now() >= next {
                    // New ones: known ones would change nothing.
                    revocations.revoke(revocation(2 * entries + number));
                    (number, next) = (number + 1, next.max(Instant::now() - 10 * PAUSE) + PAUSE);
                } else {
                    thread::sleep(PAUSE / 4);
                }
            }
        });
        let rounds = rounds(tokens.len(), |at| {
            let alone = each(|look| revocations.is_revoked(&tokens[at + look]));
            revokes.store(true, Ordering::Relaxed);
            let start = Instant::now();
            let mut few = Vec::new();
            while start.elapsed() < Duration::from_millis(5) {
                let looks =
                    each(|look| revocations.is_revoked(&tokens[(at + (few.len() + 1) * LOOKS + look) % tokens.len()]));
                few.push(looks);
            }
            busy += start.elapsed();
            revokes.store(false, Ordering::Relaxed);
            [alone, quantile(few, 0.5)]
        });
        is_over.store(true, Ordering::Relaxed);
        rounds
    });
    let per_second = f64::from(u32::try_from(revocations.generation() - before).unwrap()) / busy.as_secs_f64();
    println!("not revoked, while {per_second:.0} others are revoked a second");
    row("portcullis, from the token", &rounds, 1, 0);
}

fn id(token: &AccessToken) -> u128 {
    key(token.token_id().unwrap())
}

/// Nanoseconds for each of as many looks as a round has.
fn each(mut look: impl FnMut(usize) -> bool) -> f64 {
    let start = Instant::now();
    let found = (0..LOOKS).filter(|at| look(black_box(*at))).count();
    let took = start.elapsed();
    assert!(found == 0 || found == LOOKS, "all or none of them are revoked");
    took.as_secs_f64() * 1e9 / f64::from(u32::try_from(LOOKS).unwrap())
}

fn rounds<const N: usize>(tokens: usize, mut round: impl FnMut(usize) -> [f64; N]) -> Vec<[f64; N]> {
    (0..ROUNDS).map(|number| round(number * STEP % tokens)).collect()
}

fn row<const N: usize>(what: &str, rounds: &[[f64; N]], of: usize, to: usize) {
    let time = quantile(rounds.iter().map(|round| round[of]), 0.5);
    let ratio = quantile(rounds.iter().map(|round| round[of] / round[to]), 0.5);
    println!("  {what:<45} {time:>7.1} ns  × {ratio:.2}");
}
