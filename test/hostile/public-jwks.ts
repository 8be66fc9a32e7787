// Owns public keys that are the same in every run, so that a seed gives the same key sets. Nobody has their private halves.

/** JWKs of every kind that is understood; the last is too short. */
export const PUBLIC_JWKS: readonly Readonly<Record<string, string>>[] = [
  {
    kid: 'a',
    alg: 'ES256',
    use: 'sig',
    kty: 'EC',
    x: 'iUUVebS6ZllFQUaGiM6hrmN1K2UZMXOm0nvbFrdbB-Y',
    y: 'mznFV1GNTTbTDXmX38f_cfgpFaTgs3Da7X26Gqvn4MY',
    crv: 'P-256',
  },
  {
    kid: 'b',
    alg: 'ES384',
    use: 'sig',
    kty: 'EC',
    x: 'kidl-CFJtNKeXv7ris9DtqmUKKnnORADNhWNMn2KuNdYAwGqctSrp1wGLXTr-Ti7',
    y: 'kUGx1_szjM0v_rRYwFGyUgq5i8jM4LJokqeFBnm0oXfFYhJVnd3mr0kmYk4zvgls',
    crv: 'P-384',
  },
  {
    kid: 'c',
    alg: 'ES512',
    use: 'sig',
    kty: 'EC',
    x: 'AcYo95JOnwujgnTwaN1347emuOud_ZQ9u_0UHPq78y10O0ExQZTraGLU3pV-AxeTcFSGC5Kv3XFN-0e-2sCkTxCE',
    y: 'ANXreWDNC40HL_HKXi1JZkK6gWCCyP3zd3aAKeSQfyIeaJZLvo7kq4ADcUOY5aR2d-VouTxNm-QYwPOx4WnxLmjO',
    crv: 'P-521',
  },
  {
    kid: 'd',
    alg: 'EdDSA',
    use: 'sig',
    crv: 'Ed25519',
    x: 'LNtsmjw5OFFXs8_tHEAigsoLKjuhzmQIXu2YO3eSt2w',
    kty: 'OKP',
  },
  {
    kid: 'e',
    alg: 'RS256',
    use: 'sig',
    kty: 'RSA',
    n: 'slLFCJ112IMbiVPAy4r5vlH4N5rz8Fe9DJfm2KWE3o-hM0Qo5kMMX9w0WVhAgMz2uTIm5UJB-LvJxFbavtU5qeTXwTntgRexWcdBOa7cn2OimEk0H_0I1W9Kymw-re-0NSZIZa0dFMKNLH32rDsgO6evxTV43NJSvA0NLj7U5d4vEZeIWHBIXnZ_CP1mUbNgnFm5LQpAZ9QNwQYg5dldfMgQ442Qwjzu_Guxvpf2mKdeMAhPLr9GqspRV1gCIBtGFDzUoUjluSg_pqgJJCbofiFj-FUKe_0x_JUJOBzZmfcdEfkv_l6lhMdlD78pPRTcv75sc_REBMc2S6T1Pdmwdw',
    e: 'AQAB',
  },
  {
    kid: 'f',
    alg: 'RS256',
    use: 'sig',
    kty: 'RSA',
    n: 'lwmLgcZ6rMqHTLrZeLRmhTu69JoqU4dWUcf_gXQKbNok-NYR_NZXFgYNxeYArWFnEqDxhd4677dBFxjthV4zHYI8NIvf1-eA_kUYcSVNVbozeFHl5X54SozDQG2eHeCHbfbDBaHnUbZ1q-qjjfgcicvIbV1At_L8dof0suOcpxM',
    e: 'AQAB',
  },
]
