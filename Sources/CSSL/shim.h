#pragma once
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

// Function-like macros of OpenSSL, which Swift does not import.

static inline int cssl_set_min_version(SSL_CTX *_Nonnull context, int version) {
    return (int)SSL_CTX_set_min_proto_version(context, version);
}

static inline int cssl_set_groups(SSL_CTX *_Nonnull context, const char *_Nonnull names) {
    return (int)SSL_CTX_set1_groups_list(context, names);
}

static inline void cssl_set_mode(SSL_CTX *_Nonnull context, long mode) {
    SSL_CTX_set_mode(context, mode);
}

/// The name that a client asks for (RFC 6066 section 3).
static inline int cssl_set_server_name(SSL *_Nonnull connection, const char *_Nonnull name) {
    return (int)SSL_set_tlsext_host_name(connection, name);
}

static inline void cssl_disable_session_cache(SSL_CTX *_Nonnull context) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

/// No session is resumed: neither by a ticket nor, since there is no cache, by its id.
static inline void cssl_disable_tickets(SSL_CTX *_Nonnull context) {
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
}

static inline void cssl_read_ahead(SSL_CTX *_Nonnull context) {
    SSL_CTX_set_read_ahead(context, 1);
}

static inline void cssl_set_certificate_bytes_max(SSL_CTX *_Nonnull context, long count) {
    SSL_CTX_set_max_cert_list(context, count);
}

/// Takes its own reference to the certificate.
static inline int cssl_add_chain_certificate(SSL_CTX *_Nonnull context, X509 *_Nonnull certificate) {
    return (int)SSL_CTX_add1_chain_cert(context, certificate);
}

static inline void cssl_retry_read(BIO *_Nonnull bio) {
    BIO_clear_retry_flags(bio);
    BIO_set_retry_read(bio);
}

static inline void cssl_retry_write(BIO *_Nonnull bio) {
    BIO_clear_retry_flags(bio);
    BIO_set_retry_write(bio);
}

static inline void cssl_clear_retry(BIO *_Nonnull bio) { BIO_clear_retry_flags(bio); }

// The bits are made by a macro (`SSL_OP_BIT`), so they are not imported one by one.
static inline void cssl_set_server_options(SSL_CTX *_Nonnull context) {
    SSL_CTX_set_options(
        context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE
                     | SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
}

/// HMAC-SHA256 under `key`. Names of parameters are macros that Swift would turn into short-lived strings.
static inline int cssl_set_mac_key(
    EVP_MAC_CTX *_Nonnull code, const void *_Nonnull key, size_t count
) {
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key, count),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(code, parameters);
}
