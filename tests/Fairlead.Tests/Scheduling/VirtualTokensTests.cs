using Fairlead.Scheduling;

namespace Fairlead.Tests.Scheduling;

public sealed class VirtualTokensTests
{
    private readonly VirtualTokens _tokens = new();

    [Fact]
    public void EndRound_NewOrganization_IsLiftedToLeastOfThoseThatWait()
    {
        Serve("a", 100);
        Serve("a", 100, present: ["b"]);
        var (a, b, c) = Round("a", "b", "c");
        Assert.Equal((200.0, 100.0), (a.Tokens, b.Tokens));
        Assert.Equal(100, c.Tokens);
    }

    [Fact]
    public void Correct_UsedMoreThanEstimated_IsCharged()
    {
        _tokens.StartRound();
        var account = _tokens.Present("a");
        _tokens.EndRound();
        var call = new QueuedCall { Organization = "a", Weight = 2, InputTokens = 10 };
        call.Charged = _tokens.Charge(account, call);
        Assert.Equal((10 + (2 * VirtualTokens.FirstOutputEstimate)) / 2, account.Tokens);
        VirtualTokens.Correct(account, call, 30, 1000);
        Assert.Equal(2030 / 2, account.Tokens);
        Assert.Equal(VirtualTokens.FirstOutputEstimate, account.AverageOutput);
        VirtualTokens.Learn(account, 1000);
        Assert.True(account.AverageOutput > VirtualTokens.FirstOutputEstimate);
    }

    /// <summary>What an organization did not use before does not pay for a call that is served before its turn.</summary>
    [Fact]
    public void ChargeOutOfTurn_OrganizationThatDidNotWait_IsLiftedFirst()
    {
        Serve("a", 100);
        Serve("a", 100, present: ["b"]);
        Serve("b", 150, present: ["a"]);
        Serve("a", 0, present: ["b"]);
        _tokens.ChargeOutOfTurn(new QueuedCall { Organization = "c", InputTokens = 40, MaxOutputTokens = 0 });
        var (a, b, c) = Round("a", "b", "c");
        Assert.Equal((201.0, 250.0), (a.Tokens, b.Tokens));
        Assert.InRange(c.Tokens, 240, 241);
    }

    [Fact]
    public void Accounts_OfManyOrganizationsThatLeft_AreForgotten()
    {
        for (var i = 0; i < 100_000; i++) Serve($"o{i}", 1);
        Assert.InRange(_tokens.Count, 1, 20_001);
    }

    private void Serve(string organization, double tokens, params string[] present)
    {
        _tokens.StartRound();
        var account = _tokens.Present(organization);
        foreach (var other in present) _tokens.Present(other);
        _tokens.EndRound();
        _tokens.Charge(account, new QueuedCall { Organization = organization, InputTokens = tokens, MaxOutputTokens = 0 });
    }

    private (TokenAccount, TokenAccount, TokenAccount) Round(string a, string b, string c)
    {
        _tokens.StartRound();
        var result = (_tokens.Present(a), _tokens.Present(b), _tokens.Present(c));
        _tokens.EndRound();
        return result;
    }
}
