// What single consent signals say: `Sec-GPC`, DNT, a parameter, a cookie. Bytes in, a state per purpose out.
