// The two ways INDIGO IAM refuses outside its registration API.

/** An OAuth error as Spring writes it. */
export function oauthError(ctx, status, error, description) {
  ctx.status = status;
  ctx.body = { error, error_description: description };
}

/** A reply without a body. */
export function emptyReply(ctx, status) {
  ctx.body = '';
  ctx.remove('content-type');
  ctx.status = status;
}
