//! Networks, as operators write them: `10.0.0.0/8`, `2001:db8::/32`, or a single address.

use std::net::IpAddr;
use std::str::FromStr;

/// All addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// As a number; IPv4 in its lowest 32 bits.
    base: u128,
    mask: u128,
    v4: bool,
}

fn number(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(address) => (u32::from(address).into(), true),
        IpAddr::V6(address) => (address.into(), false),
    }
}

impl Network {
    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (address, v4) = number(address);
        v4 == self.v4 && address & self.mask == self.base
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let why = || format!("`{text}` is not a network such as 10.0.0.0/8 or 2001:db8::/32");
        let (address, length) = match text.split_once('/') {
            None => (text, None),
            Some((address, length)) => (address, Some(length)),
        };
        let (base, v4) = number(address.parse().map_err(|_| why())?);
        let bits: u32 = if v4 { 32 } else { 128 };
        let length = match length {
            None => bits,
            Some(text) => text
                .parse()
                .ok()
                .filter(|length| *length <= bits)
                .ok_or_else(why)?,
        };
        let all = u128::MAX >> (128 - bits);
        let mask = all & all.checked_shl(bits - length).unwrap_or(0);
        if base & !mask != 0 {
            return Err(format!(
                "`{text}` has bits behind the length of its network"
            ));
        }
        Ok(Network { base, mask, v4 })
    }
}

/// Networks that are meant together; none contain nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(pub Vec<Network>);

impl Networks {
    /// Whether an address is in one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_what_begins_alike() {
        for (network, address, contained) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("10.0.0.7", "10.0.0.7", true),
            ("10.0.0.7", "10.0.0.8", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("::/0", "10.0.0.1", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert_eq!(
                parsed.contains(address.parse().unwrap()),
                contained,
                "{network} {address}"
            );
        }
        for wrong in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "host",
            "10.0.0.0/",
            "::/129",
            "10/8",
            "/8",
        ] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
