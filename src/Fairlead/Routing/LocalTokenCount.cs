using Fairlead.Auditing.Spooling;
using Fairlead.Errors;
using Fairlead.Pipeline;
using Fairlead.TokenCounting;
using Microsoft.Extensions.Logging;

namespace Fairlead.Routing;

/// <summary>Counts the tokens of a <c>count_tokens</c> call without a provider.</summary>
internal sealed class LocalTokenCount(ISpool spool, TokenCounter counter, ILogger<RoutingStage> logger)
{
    /// <summary>The count, or why it was refused.</summary>
    public GatewayReply Count(GatewayCall call)
    {
        try
        {
            spool.Reserve(call);
            var counted = counter.CountInput(call);
            return new GatewayReply.Counted(counted.Tokens, counted.Basis);
        }
        catch (SpoolUnavailableException exception)
        {
            RoutingLog.SpoolUnavailable(logger, call.RequestId, exception);
            return new GatewayReply.Refused(exception.Error);
        }
        catch (GatewayErrorException refused)
        {
            return new GatewayReply.Refused(refused.Error);
        }
    }
}
