using Fairlead.Identity;
using Fairlead.Pipeline;

namespace Fairlead.Coalescing;

/// <summary>Creates the work of a call. Thread-safe.</summary>
internal sealed class EmbeddingKeys(RequestIdentity identity)
{
    /// <summary>Identifies every input, in time linear in the bytes.</summary>
    public EmbeddingWork WorkOf(GatewayCall call)
    {
        var body = call.Body.WrittenSpan;
        var inputs = EmbeddingInputs.Read(body);
        var rest = identity.WithoutInput(call);
        using var hash = new IdentityHash();
        using var json = new CanonicalJson();
        var keys = new IdentityKey[inputs.Items.Count];
        for (var i = 0; i < keys.Length; i++)
        {
            hash.Add(rest);
            json.Add(hash, body[inputs.Items[i].Start..inputs.Items[i].End]);
            keys[i] = hash.Finish();
        }
        // Inputs of different end users are shared, but not sent together: the provider is told one end user for a request.
        hash.Add(rest);
        hash.Add(body[inputs.EndUser.Start..inputs.EndUser.End]);
        return new EmbeddingWork(call, inputs, keys, hash.Finish());
    }
}
