namespace Fairlead.Server.Failover;

/// <summary>The judgement of one response.</summary>
/// <param name="Passed">Whether it is what the case allows.</param>
/// <param name="Result"><c>text</c>, <c>rescued</c>, <c>error</c> or <c>wrong</c>.</param>
/// <param name="Detail">What happened; the code of a clear error.</param>
internal sealed record FailoverVerdict(bool Passed, string Result, string Detail)
{
    /// <summary>Judges a response.</summary>
    /// <param name="test">The case.</param>
    /// <param name="response">The response.</param>
    /// <param name="isStream">Whether it was streamed.</param>
    /// <param name="target">The model.</param>
    public static FailoverVerdict Of(FailoverCase test, FailoverResponse response, bool isStream, FailoverTarget target)
    {
        if (response.Model == SimulatedText.WrongModel)
            return Wrong($"the response names {SimulatedText.WrongModel}, which was not asked for");
        if (response.IsRight)
        {
            return target.ReportedModels.Count == 0 || target.ReportedModels.Contains(response.Model ?? "") ? new(true, "text", "")
                : Wrong($"the response names {response.Model ?? "no model"} instead of {string.Join(" or ", target.ReportedModels)}");
        }
        if (!response.IsStartOfRight) return Wrong("the text is not the right one");
        if (response.Error is not { } code)
            return Wrong(response.HasEnd ? "the text is not complete, and there is no error" : "the response has no end");
        if (!test.Errors.Contains(code)) return Wrong($"the error {code} does not fit");
        return MustRecover(test.Recovery, isStream, target)
            ? new(false, "error", $"{code}, although a deployment could have served the request") : new(true, "error", code);
    }

    private static bool MustRecover(FailoverRecovery recovery, bool isStream, FailoverTarget target) => recovery switch
    {
        FailoverRecovery.Always => true,
        FailoverRecovery.WithOtherDeployment => target.Deployments > 1,
        FailoverRecovery.WithOtherDeploymentOrRescue => isStream ? target.CanRescue : target.Deployments > 1,
        FailoverRecovery.WithLargerModel => target.HasLargerModel,
        FailoverRecovery.WithContentFailover => target.FailsOverContentRejections,
        _ => throw new ArgumentOutOfRangeException(nameof(recovery)),
    };

    /// <summary>A result that the case does not allow.</summary>
    public static FailoverVerdict Wrong(string detail) => new(false, "wrong", detail);
}
