# The names of oidc-agent's programs for scripts that call them; iamctl answers. Behind everything
# else on PATH: an oidc-agent that is installed goes before.
case :$PATH: in
*:/usr/lib/iamd/oidc-agent:*) ;;
*) PATH=$PATH:/usr/lib/iamd/oidc-agent ;;
esac
